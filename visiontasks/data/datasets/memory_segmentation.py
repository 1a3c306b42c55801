"""Images with a mask each, small enough to be kept in memory."""

import torch
from jaxtyping import UInt8
from torch import Tensor

from visiontasks.data.collate import collate, empty_like
from visiontasks.data.datasets.files import sample_seed
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.samplers import BatchRequest
from visiontasks.data.transforms import Augmentation
from visiontasks.types import SegmentationBatch


class MemorySegmentation(MemoryDataset):
    """Images in memory, with the class of each pixel.

    Args:
        images: The images.
        masks: Class of each pixel.
        augmentation: Applied to every image and its mask by themselves.
        seed: Seed of what is random.
    """

    def __init__(
        self,
        images: UInt8[Tensor, "images channels height width"],
        masks: UInt8[Tensor, "images height width"],
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        # What is counted by class is the largest value of each mask: an image with one object is of its class.
        super().__init__(images, masks.flatten(1).amax(1).long())
        self.masks = masks
        self.changes = augmentation
        self.seed = seed

    def __getitem__(self, request: BatchRequest) -> SegmentationBatch:  # type: ignore[override]  # the task's own batch
        """Make a batch, shape [B, C, H, W]."""
        samples = [self._sample(index, request.epoch) for index in request.indices]
        return collate(samples) if samples else empty_like(collate([self._sample(0, request.epoch)]))

    def _sample(self, index: int, epoch: int) -> SegmentationBatch:
        pixels, mask = self.pixels[index].numpy(), self.masks[index].numpy()
        if self.changes is not None:
            changed = self.changes(pixels, sample_seed(self.seed, epoch, index), mask=mask)
            assert changed.mask is not None
            pixels, mask = changed.pixels, changed.mask
        image = torch.from_numpy(pixels).permute(2, 0, 1)
        size = torch.tensor(image.shape[1:])
        return SegmentationBatch(image, torch.from_numpy(mask.copy()), size, torch.ones(2), self.ids[index])
