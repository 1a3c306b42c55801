"""Augmentation of small images of one class in memory: whole batches by an affine map, or image by image."""

from typing import Any, get_args

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from visiontasks.data.augmentation.affine import BatchAffine, Strength
from visiontasks.data.augmentation.presets import get_preset
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.datasets.file_dataset import sample_seed
from visiontasks.data.datasets.memory import BatchAugmentation
from visiontasks.data.images.arrays import to_tensor


class EachImage:
    """Changes the images of a batch one by one, by amounts that depend on (seed, epoch, id) only.

    Args:
        augmentation: Its changes of views.
        affine: What is done to the whole batch before; None for nothing.
        seed: Seed.
    """

    def __init__(self, augmentation: Augmentation, affine: BatchAffine | None, seed: int) -> None:
        self.augmentation, self.affine, self.seed = augmentation, affine, seed

    def __call__(
        self, images: UInt8[Tensor, "batch channels height width"], ids: Int64[Tensor, " batch"], epoch: int
    ) -> UInt8[Tensor, "batch channels height width"]:
        """Change the images of a batch; the result is in channels-last memory."""
        if self.affine is not None:
            images = self.affine(images, ids, epoch)
        if not len(images):
            return images
        pixels = images.permute(0, 2, 3, 1).contiguous().numpy()
        seeds = [sample_seed(self.seed, epoch, index) for index in ids.tolist()]
        changed = [self.augmentation.of_view(image, seed) for image, seed in zip(pixels, seeds, strict=True)]
        return torch.stack([to_tensor(image).permute(1, 2, 0) for image in changed]).permute(0, 3, 1, 2)

    def describe(self) -> dict[str, Any]:
        """Describe the changes in plain types."""
        affine = {} if self.affine is None else {"BatchAffine": vars(self.affine)}
        return {**affine, "views": self.augmentation.describe()["views"]}


def batch_augmentation(name: str, seed: int) -> BatchAugmentation | None:
    """Create the augmentation of a named preset for small images of one class; None for ``"none"``.

    Args:
        name: A strength of :meth:`BatchAffine.preset <visiontasks.data.augmentation.affine.BatchAffine.preset>`,
            ``"trivial"`` or ``"randaugment"``, with or without ``"+erasing"``. Nothing is mirrored.
        seed: Seed.

    Raises:
        ArgumentError: If there is none of that name; near matches are listed.

    Example:
        >>> augment = batch_augmentation("trivial+erasing", seed=0)
        >>> augment(torch.zeros(4, 1, 28, 28, dtype=torch.uint8), torch.arange(4), epoch=0).shape
        torch.Size([4, 1, 28, 28])
    """
    preset = get_preset("classification", name)
    strengths = [strength for strength in get_args(Strength) if strength == preset.base]
    affine = BatchAffine.preset(strengths[0], seed) if strengths else None
    return EachImage(Augmentation.create("classification", name), affine, seed) if preset.view_steps else affine
