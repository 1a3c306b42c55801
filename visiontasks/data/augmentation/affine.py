"""Random affine transforms of whole in-memory batches, at a fraction of the cost of transforming images one by one."""

import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Int64, UInt8, UInt64
from torch import Tensor

Strength = Literal["none", "light", "default", "strong"]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


class BatchAffine:
    """Rotate, scale, shear and shift every image of a batch by its own random amount.

    The amounts depend on (seed, epoch, id) only, so they do not change with the batch, the process, the number of
    workers or a resume. Pixels from outside the image are 0.

    Args:
        degrees: Maximum rotation in either direction, in degrees.
        translate: Maximum shift in any direction, as a fraction of the image's side.
        scale: Maximum relative change in size: 0.1 for 0.9 to 1.1.
        shear: Maximum horizontal shear in either direction, in degrees.
        seed: Seed.

    Example:
        >>> change = BatchAffine(degrees=10, translate=0.1)
        >>> images = torch.zeros(4, 1, 28, 28, dtype=torch.uint8)
        >>> change(images, torch.arange(4), epoch=0).shape
        torch.Size([4, 1, 28, 28])
    """

    def __init__(
        self, degrees: float = 0, translate: float = 0, scale: float = 0, shear: float = 0, seed: int = 0
    ) -> None:
        self.degrees = degrees
        self.translate = translate
        self.scale = scale
        self.shear = shear
        self.seed = seed

    @classmethod
    def preset(cls, strength: Strength, seed: int = 0) -> "BatchAffine | None":
        """Create the augmentation of a named strength for small images of characters; None for ``"none"``.

        Args:
            strength: ``"none"``; ``"light"`` (shifts of 4 %), ``"default"`` (10 degrees, shifts of 8 %, 10 % in size)
                or ``"strong"`` (15 degrees, shifts of 11 %, 15 % in size, shear of 10 degrees).
            seed: Seed.

        Returns:
            The augmentation.
        """
        if strength == "none":
            return None
        degrees, translate, scale, shear = _PRESETS[strength]
        return cls(degrees, translate, scale, shear, seed)

    def __call__(
        self, images: UInt8[Tensor, "batch channels height width"], ids: Int64[Tensor, " batch"], epoch: int
    ) -> UInt8[Tensor, "batch channels height width"]:
        """Transform the images of a batch; the result is in channels-last memory."""
        if not len(images):
            return images
        height, width = images.shape[-2:]
        amounts = torch.from_numpy(uniform(self.seed, epoch, ids.numpy(), 5)) * 2 - 1
        angle = amounts[:, 0] * math.radians(self.degrees)
        size = 1 / (1 + amounts[:, 1] * self.scale)
        shear = torch.tan(amounts[:, 2] * math.radians(self.shear))
        cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
        # Grid coordinates run from -1 to 1 over height and width; a rotation has to keep pixels square.
        ratio = height / width
        rows = [
            torch.stack([cos, (cos * shear - sin) * ratio, amounts[:, 3] * 2 * self.translate], 1),
            torch.stack([sin / ratio, sin * shear + cos, amounts[:, 4] * 2 * self.translate], 1),
        ]
        grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
        moved = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return moved.round_().clamp_(0, 255).to(torch.uint8, memory_format=torch.channels_last)


_PRESETS = {"light": (0.0, 0.04, 0.0, 0.0), "default": (10.0, 0.08, 0.1, 0.0), "strong": (15.0, 0.11, 0.15, 10.0)}


def uniform(seed: int, epoch: int, ids: Int64[np.ndarray, " batch"], count: int) -> Float32[np.ndarray, "batch count"]:
    """Draw random numbers that depend on (seed, epoch, id) only, for all ids at once.

    A counter-based generator: the finaliser of SplitMix64 (Steele et al. 2014, Fast splittable pseudorandom number
    generators, figure 16) over the counters.

    Args:
        seed: Seed.
        epoch: Epoch.
        ids: Ids, shape [B].
        count: Numbers per id.

    Returns:
        Numbers from 0 to 1, shape [B, count].
    """
    start = np.uint64((seed * _GOLDEN + epoch * 0xD1B54A32D192ED03 + 1) & _MASK)
    with np.errstate(over="ignore"):
        keys = _mix(_mix(ids.astype(np.uint64) + start))
        values = _mix(keys[:, None] + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN))
    return ((values >> np.uint64(40)) / np.float32(1 << 24)).astype(np.float32)


def _mix(values: UInt64[np.ndarray, "..."]) -> UInt64[np.ndarray, "..."]:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: UInt64[np.ndarray, ...] = values ^ (values >> np.uint64(31))
    return mixed
