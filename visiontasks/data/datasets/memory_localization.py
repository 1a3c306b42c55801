"""Images with a box each, small enough to be kept in memory."""

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from visiontasks.data.collate import collate, empty_like
from visiontasks.data.datasets.files import sample_seed
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.samplers import BatchRequest
from visiontasks.data.transforms import Augmentation
from visiontasks.types import LocalizationBatch


class MemoryLocalization(MemoryDataset):
    """Labelled images in memory, with the box of an object each.

    Args:
        images: The images.
        labels: Class of the object in each image.
        boxes: Its box, xyxy in pixels.
        augmentation: Applied to every image and its box by themselves; an image whose object is lost has none.
        seed: Seed of what is random.
    """

    def __init__(
        self,
        images: UInt8[Tensor, "images channels height width"],
        labels: Int64[Tensor, " images"],
        boxes: Float32[Tensor, "images 4"],
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(images, labels)
        self.boxes = boxes
        self.augmentation: Augmentation | None = augmentation  # type: ignore[assignment]  # of boxes, too
        self.seed = seed

    def __getitem__(self, request: BatchRequest) -> LocalizationBatch:  # type: ignore[override]  # the task's own batch
        """Make a batch, shape [B, C, H, W]."""
        samples = [self._sample(index, request.epoch) for index in request.indices]
        return collate(samples) if samples else empty_like(collate([self._sample(0, request.epoch)]))

    def _sample(self, index: int, epoch: int) -> LocalizationBatch:
        pixels, label, box = self.pixels[index].numpy(), self.labels[index], self.boxes[index]
        if self.augmentation is not None:
            seed = sample_seed(self.seed, epoch, index)
            pixels, boxes, kept, _ = self.augmentation(pixels, seed, box[None].double().numpy())
            seen = len(kept) > 0
            label = label if seen else torch.tensor(-1)
            box = torch.from_numpy(boxes[0].astype(np.float32)) if seen else torch.zeros(4)
        image = torch.from_numpy(pixels).permute(2, 0, 1)
        return LocalizationBatch(image, label, box, torch.tensor(image.shape[1:]), torch.ones(2), self.ids[index])
