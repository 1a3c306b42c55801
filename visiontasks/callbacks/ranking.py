"""The few samples of an evaluation with the lowest keys."""

import math
from bisect import insort
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from visiontasks.types import ids_of


class Ranked(NamedTuple):
    """A sample, ordered by key, then id, then order of arrival, since the ids of plain pairs are not unique."""

    key: float
    order: tuple[int, int]
    quality: float
    batch: Any
    predictions: Any


class Ranking:
    """Keeps a given number of samples with the lowest keys.

    Args:
        count: Number of samples.

    Attributes:
        kept: The samples so far, in ascending order.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.kept: list[Ranked] = []
        self._seen = 0

    def offer(self, keys: Sequence[float], qualities: Sequence[float], predictions: Any, batch: Any) -> None:
        """Process a batch; samples whose key is NaN are skipped.

        Args:
            keys: One per image.
            qualities: Quality of the predictions of each image, kept with the sample.
            predictions: The predictions of the batch.
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


def take(fields: Any, images: slice, count: int) -> Any:
    """Copy the fields of some images to the CPU, so that the rest can be freed.

    Args:
        fields: A batch, or its predictions.
        images: Which images.
        count: Number of images in the batch.
    """

    def part(field: Any) -> Any:
        if isinstance(field, Tensor) and field.ndim and len(field) == count:
            return field[images].detach().to("cpu", copy=True)
        return field

    return type(fields)(*(part(field) for field in fields))
