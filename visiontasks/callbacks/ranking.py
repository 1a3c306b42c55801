"""The few samples of an evaluation that come first by some key."""

import math
from bisect import insort
from collections.abc import Sequence
from typing import Any, NamedTuple

from visiontasks.callbacks.prediction_images import take
from visiontasks.types import ids_of


class Ranked(NamedTuple):
    """A sample, ordered by its key, then by its id and when it was seen; ids of plain pairs are not unique."""

    key: float
    order: tuple[int, int]
    quality: float
    batch: Any
    predictions: Any


class Ranking:
    """Keeps the samples with the lowest keys, and no more of them than asked for.

    Args:
        count: How many.

    Attributes:
        kept: Those so far, in ascending order.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.kept: list[Ranked] = []
        self._seen = 0

    def offer(self, keys: Sequence[float], qualities: Sequence[float], predictions: Any, batch: Any) -> None:
        """Look at a batch; samples whose key is NaN are passed over.

        Args:
            keys: One per image.
            qualities: How good the predictions of each image are, kept with it.
            predictions: Of the batch.
            batch: The batch.
        """
        ids = ids_of(batch).tolist()
        ascending = sorted((i for i in range(len(ids)) if not math.isnan(keys[i])), key=keys.__getitem__)
        for i in ascending[: self.count]:
            order = (ids[i], self._seen + i)
            if len(self.kept) == self.count and (keys[i], order) > self.kept[-1][:2]:
                break
            alone = (take(fields, slice(i, i + 1), len(ids)) for fields in (batch, predictions))
            insort(self.kept, Ranked(keys[i], order, qualities[i], *alone), key=lambda sample: sample[:2])
            del self.kept[self.count :]
        self._seen += len(ids)
