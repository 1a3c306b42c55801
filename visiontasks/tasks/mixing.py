"""Mixup and CutMix: mixtures of pairs of training images and of their labels."""

from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from visiontasks.errors import ArgumentError
from visiontasks.types import ClassificationBatch


class Mixing:
    """Mixes each image of a batch with another image of the batch, with torchvision's transforms.

    Mixup (Zhang et al. 2018) averages two images with random weights, CutMix (Yun et al. 2019) pastes a part of one
    into the other; the labels are mixed in the same proportion. With both, each batch uses either with equal
    probability. Random numbers are drawn from torch's global generator on the CPU.

    Args:
        mixup: Alpha of mixup's Beta distribution, at least 0; 0 for none. The larger, the more even the mixtures.
        cutmix: Alpha of CutMix's Beta distribution, likewise.
        num_classes: Number of classes.

    Raises:
        ArgumentError: If an alpha is negative.

    Example:
        >>> images = torch.arange(2, dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 3, 8, 8) * 255
        >>> batch = ClassificationBatch(images, labels=torch.tensor([0, 1]), ids=torch.arange(2))
        >>> mixed = Mixing(mixup=0.2, cutmix=0, num_classes=2)(batch)
        >>> torch.allclose(mixed.images[:, 0, 0, 0], mixed.labels[:, 1])
        True
    """

    def __init__(self, mixup: float, cutmix: float, num_classes: int) -> None:
        for name, alpha in (("mixup", mixup), ("cutmix", cutmix)):
            if alpha < 0:
                message = f"{name} is {alpha}; expected its alpha, such as 0.2, or 0 for none."
                raise ArgumentError(message)
        kinds = ((v2.MixUp, mixup), (v2.CutMix, cutmix))
        self.transforms = [kind(alpha=float(alpha), num_classes=num_classes) for kind, alpha in kinds if alpha]

    def __bool__(self) -> bool:
        """Whether anything is mixed."""
        return bool(self.transforms)

    def __call__(self, batch: ClassificationBatch) -> ClassificationBatch:
        """Mix a batch.

        Args:
            batch: The batch; its images may be uint8 or float, on any device.

        Returns:
            The batch with mixed images, and labels of shape [B, classes]: the share of each class.
        """
        transform = self.transforms[int(torch.randint(len(self.transforms), ()))]
        images, labels = _mix(transform, batch.images, batch.labels)
        return batch._replace(images=images, labels=labels)


def _mix(transform: Any, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401 (torchvision's)
    if isinstance(transform, v2.MixUp) and not images.is_floating_point():
        images = images.float() / 255
    mixed: tuple[Tensor, Tensor] = transform(images, labels)
    return mixed
