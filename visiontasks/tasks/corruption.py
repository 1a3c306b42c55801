"""Corruptions of images that a denoising autoencoder has to undo."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from visiontasks.errors import ArgumentError, check_choice

Denoising = Literal["gaussian", "salt_and_pepper", "erased_patches"]

PixelBatch = Float[Tensor, "batch channels height width"]

_ROWS = 7


def gaussian(images: PixelBatch, amount: float) -> PixelBatch:
    """Add Gaussian noise of standard deviation ``amount`` to every pixel value, and clip to 0 to 1."""
    noise = torch.randn(images.shape, device=images.device)
    return (images + amount * noise).clamp(0, 1)


def salt_and_pepper(images: PixelBatch, amount: float) -> PixelBatch:
    """Set a share of the pixels to black or white, the same in all channels."""
    drawn = torch.rand((len(images), 1, *images.shape[-2:]), device=images.device)
    return images.masked_fill(drawn < amount / 2, 0.0).masked_fill(drawn > 1 - amount / 2, 1.0)


def erased_patches(images: PixelBatch, amount: float) -> PixelBatch:
    """Set a share of the squares of a grid to black, with seven squares along the shorter side."""
    height, width = images.shape[-2:]
    side = max(1, min(height, width) // _ROWS)
    rows, columns = -(-height // side), -(-width // side)
    drawn = torch.rand((len(images), 1, rows, columns), device=images.device)
    erased = F.interpolate((drawn < amount).to(images.dtype), scale_factor=float(side))
    return images * (1 - erased[..., :height, :width])


CORRUPTIONS: dict[str, Callable[[PixelBatch, float], PixelBatch]] = {
    "gaussian": gaussian,
    "salt_and_pepper": salt_and_pepper,
    "erased_patches": erased_patches,
}


class Corruption:
    """Corrupts images at random (Vincent et al., Stacked denoising autoencoders, JMLR 2010, section 3.3).

    Args:
        kind: ``"gaussian"``: noise of standard deviation ``amount`` on every value. ``"salt_and_pepper"``: that share
            of the pixels set to black or white. ``"erased_patches"``: that share of the squares of a grid set to black,
            with seven squares along the shorter side.
        amount: Amount of corruption, above 0 and at most 1.

    Raises:
        ArgumentError: If the kind is unknown, or the amount is out of range.

    Example:
        >>> corrupted = Corruption("salt_and_pepper", 0.5)(torch.full((1, 3, 4, 4), 0.5))
        >>> sorted(corrupted.unique().tolist())
        [0.0, 0.5, 1.0]
    """

    def __init__(self, kind: Denoising, amount: float) -> None:
        check_choice("denoising", kind, CORRUPTIONS)
        if not 0 < amount <= 1:
            message = f"noise is {amount}; expected more than 0 and at most 1, pixels being in 0 to 1."
            raise ArgumentError(message)
        self.kind = kind
        self.amount = amount

    def __call__(self, images: PixelBatch) -> PixelBatch:
        """Corrupt images with random numbers from torch's global generator.

        Args:
            images: Pixels in 0 to 1.
        """
        return CORRUPTIONS[self.kind](images, self.amount)
