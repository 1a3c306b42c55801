"""Images with any number of boxes, small enough to be kept in memory."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8
from torch import Tensor

from visiontasks.data.collate import collate, empty_like
from visiontasks.data.datasets.files import sample_seed
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.samplers import BatchRequest
from visiontasks.data.transforms import Augmentation
from visiontasks.types import DetectionBatch, ProposalBatch


class MemoryDetection(MemoryDataset):
    """Images in memory with the boxes and classes of their objects.

    Args:
        images: The images.
        boxes: Boxes of the objects in each image, xyxy in pixels.
        labels: Their classes.
        augmentation: Applied to every image and its boxes by themselves.
        seed: Seed of what is random.
        proposals: Boxes in which there may be objects, for each image; batches then have them.
    """

    def __init__(
        self,
        images: UInt8[Tensor, "images channels height width"],
        boxes: Sequence[Float32[Tensor, "_ 4"]],
        labels: Sequence[Int64[Tensor, " _"]],
        augmentation: Augmentation | None = None,
        seed: int = 0,
        proposals: Sequence[Float64[np.ndarray, "_ 4"]] | None = None,
    ) -> None:
        super().__init__(images, torch.full((len(images),), -1))
        self.boxes = boxes
        self.objects = labels
        self.augmentation: Augmentation | None = augmentation  # type: ignore[assignment]  # of boxes, too
        self.seed = seed
        self.proposals = proposals

    def __getitem__(self, request: BatchRequest) -> DetectionBatch | ProposalBatch:  # type: ignore[override]  # the task's own batch
        """Make a batch, shape [B, C, H, W]."""
        samples = [self._sample(index, request.epoch) for index in request.indices]
        return collate(samples) if samples else empty_like(collate([self._sample(0, request.epoch)]))

    def _sample(self, index: int, epoch: int) -> DetectionBatch | ProposalBatch:
        pixels, labels, boxes = self.pixels[index].numpy(), self.objects[index], self.boxes[index].double().numpy()
        count = len(boxes)
        kept = np.arange(count)
        if self.proposals is not None:
            boxes = np.concatenate([boxes, self.proposals[index]])
            kept = np.arange(len(boxes))
        if self.augmentation is not None:
            pixels, boxes, kept, _ = self.augmentation(pixels, sample_seed(self.seed, epoch, index), boxes)
        image, moved = torch.from_numpy(pixels).permute(2, 0, 1), torch.from_numpy(boxes.astype(np.float32))
        objects = torch.from_numpy(kept < count)
        own, labels = moved[objects], labels[torch.from_numpy(kept[kept < count])]
        sample = DetectionBatch(
            image,
            own,
            labels,
            torch.zeros(len(labels), dtype=torch.bool),
            torch.tensor(image.shape[1:]),
            torch.ones(2),
            self.ids[index],
            (own[:, 2:] - own[:, :2]).prod(1),
        )
        return sample if self.proposals is None else ProposalBatch(*sample, moved[~objects])
