"""The few samples of an evaluation with the lowest keys."""

import math
from bisect import insort
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
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
        offered = sorted((keys[i], (ids[i], self._seen + i), i) for i in range(len(ids)) if not math.isnan(keys[i]))
        full = len(self.kept) == self.count
        better = [sample for sample in offered[: self.count] if not full or sample[:2] <= self.kept[-1][:2]]
        self._seen += len(ids)
        if not better:
            return
        # All at once, since each copy from a GPU is waited for.
        rows = torch.tensor([i for *_, i in better])
        taken = [take(fields, rows, len(ids)) for fields in (batch, predictions)]
        for place, (key, order, i) in enumerate(better):
            alone = (take(fields, slice(place, place + 1), len(better)) for fields in taken)
            insort(self.kept, Ranked(key, order, qualities[i], *alone), key=lambda sample: sample[:2])
        del self.kept[self.count :]


def take(fields: Any, images: slice | Tensor, count: int) -> Any:
    """Copy the fields of some images to the CPU, so that the rest can be freed.

    Args:
        fields: A batch, or its predictions.
        images: Which images; positions are on the CPU.
        count: Number of images in the batch.
    """

    def part(field: Any) -> Any:
        if isinstance(field, Tensor) and field.ndim and len(field) == count:
            chosen = images if isinstance(images, slice) else images.to(field.device, non_blocking=True)
            return field[chosen].detach().to("cpu", copy=True)
        return field

    return type(fields)(*(part(field) for field in fields))
