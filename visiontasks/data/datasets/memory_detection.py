"""Images with any number of boxes, small enough to be kept in memory."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from visiontasks.data.collate import collate, empty_like
from visiontasks.data.datasets.files import sample_seed
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.samplers import BatchRequest
from visiontasks.data.transforms import Augmentation
from visiontasks.types import DetectionBatch


class MemoryDetection(MemoryDataset):
    """Images in memory with the boxes and classes of their objects.

    Args:
        images: The images.
        boxes: Boxes of the objects in each image, xyxy in pixels.
        labels: Their classes.
        augmentation: Applied to every image and its boxes by themselves.
        seed: Seed of what is random.
    """

    def __init__(
        self,
        images: UInt8[Tensor, "images channels height width"],
        boxes: Sequence[Float32[Tensor, "_ 4"]],
        labels: Sequence[Int64[Tensor, " _"]],
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(images, torch.full((len(images),), -1))
        self.boxes = boxes
        self.objects = labels
        self.augmentation: Augmentation | None = augmentation  # type: ignore[assignment]  # of boxes, too
        self.seed = seed

    def __getitem__(self, request: BatchRequest) -> DetectionBatch:  # type: ignore[override]  # the task's own batch
        """Make a batch, shape [B, C, H, W]."""
        samples = [self._sample(index, request.epoch) for index in request.indices]
        return collate(samples) if samples else empty_like(collate([self._sample(0, request.epoch)]))

    def _sample(self, index: int, epoch: int) -> DetectionBatch:
        pixels, boxes, labels = self.pixels[index].numpy(), self.boxes[index], self.objects[index]
        if self.augmentation is not None:
            seed = sample_seed(self.seed, epoch, index)
            pixels, moved, kept, _ = self.augmentation(pixels, seed, boxes.double().numpy())
            boxes, labels = torch.from_numpy(moved.astype(np.float32)), labels[torch.from_numpy(kept)]
        image = torch.from_numpy(pixels).permute(2, 0, 1)
        return DetectionBatch(
            image,
            boxes,
            labels,
            torch.zeros(len(labels), dtype=torch.bool),
            torch.tensor(image.shape[1:]),
            torch.ones(2),
            self.ids[index],
            (boxes[:, 2:] - boxes[:, :2]).prod(1),
        )
