"""Images that are small enough to be kept in memory as one tensor."""

from collections.abc import Sequence
from copy import copy
from typing import Any, Protocol, Self, runtime_checkable

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from visiontasks.data.loading.samplers import BatchRequest, request_of
from visiontasks.description import ClassCounts, Statistics
from visiontasks.types import ClassificationBatch


@runtime_checkable
class BatchAugmentation(Protocol):
    """Changes a whole batch of images at once."""

    def __call__(
        self, images: UInt8[Tensor, "batch channels height width"], ids: Int64[Tensor, " batch"], epoch: int
    ) -> UInt8[Tensor, "batch channels height width"]:
        """Augment images; the same ids and epoch give the same result."""


class MemoryDataset(Dataset[ClassificationBatch]):
    """Labelled images in memory; a batch is one index operation, whatever its size.

    Args:
        images: The images.
        labels: Class of each image.
        ids: Identifier of each image in messages; by default its position.
        augmentation: Applied to every batch.
    """

    def __init__(
        self,
        images: UInt8[Tensor, "images channels height width"],
        labels: Int64[Tensor, " images"],
        ids: Int64[Tensor, " images"] | None = None,
        augmentation: BatchAugmentation | None = None,
    ) -> None:
        # Rows in channels-last memory, so that batches are channels-last without a copy.
        self.pixels = images.permute(0, 2, 3, 1).contiguous()
        self.labels = labels
        self.ids = torch.arange(len(labels)) if ids is None else ids
        self.augmentation = augmentation
        self._statistics: Statistics | None = None

    def __len__(self) -> int:
        """Count the images."""
        return len(self.labels)

    def __getitem__(self, request: BatchRequest | int) -> Any:  # noqa: ANN401 (a batch tuple)
        """Make a batch, shape [B, C, H, W]; a number gives one sample, augmented anew by torch's random state."""
        if isinstance(request, BatchRequest):
            return self._batch(request)
        sample = self._batch(request_of(request, len(self)))
        return sample._make(field[0] for field in sample)

    def _batch(self, request: BatchRequest) -> Any:  # noqa: ANN401 (the batch tuple of the samples)
        indices = torch.tensor(request.indices, dtype=torch.int64)
        images, labels, ids = self.pixels[indices].permute(0, 3, 1, 2), self.labels[indices], self.ids[indices]
        if self.augmentation is not None:
            images = self.augmentation(images, ids, request.epoch)
        return ClassificationBatch(images, labels, ids)

    def joined(self, others: Sequence[Self]) -> "MemoryDataset":
        """Return these images and those of others, without augmentation; they are numbered anew."""
        sets = [self, *others]
        pixels = torch.cat([each.pixels for each in sets]).permute(0, 3, 1, 2)
        return MemoryDataset(pixels, torch.cat([each.labels for each in sets]))

    def relabelled(self, labels: Int64[Tensor, " classes"]) -> "MemoryDataset":
        """Return the same images with other labels.

        Args:
            labels: The label in place of each.
        """
        changed = copy(self)
        changed.labels = labels[self.labels]
        return changed

    def class_counts(self, num_classes: int) -> ClassCounts:
        """Count all images and the images with each class."""
        return ClassCounts(len(self), torch.bincount(self.labels, minlength=num_classes))

    def statistics(self) -> Statistics:
        """Measure mean, standard deviation and mean image, with pixels from 0 to 1, when they are first asked for."""
        if self._statistics is None:
            self._statistics = self._measure()
        return self._statistics

    def _measure(self) -> Statistics:
        images, height, width, channels = self.pixels.shape
        total = torch.zeros(height, width, channels, dtype=torch.float64)
        squares = torch.zeros(channels, dtype=torch.float64)
        for chunk in torch.split(self.pixels, 4096):
            values = chunk.double() / 255
            total += values.sum(0)
            squares += values.square().sum((0, 1, 2))
        mean = total.sum((0, 1)) / (images * height * width)
        std = (squares / (images * height * width) - mean.square()).clamp(min=0).sqrt()
        return Statistics(mean.float(), std.float(), (total / images).permute(2, 0, 1).float())
