"""Crops of which no class fills too much."""

from dataclasses import dataclass
from random import Random

import numpy as np
from jaxtyping import UInt8

from visiontasks.data.augmentation.resizing import RandomScaledCrop
from visiontasks.data.augmentation.windows import Window
from visiontasks.errors import check_range
from visiontasks.types import IGNORED


@dataclass(frozen=True)
class ClassAwareCrop(RandomScaledCrop):
    """A random crop whose place is drawn again while one class fills too much of it, ten times at most.

    MMSegmentation's ``RandomCrop`` with ``cat_max_ratio``.

    Args:
        size: Height and width of the crop in pixels.
        scale: Minimum and maximum scale.
        largest_class: Share of the pixels that are not ignored above which a class fills too much, 0 to 1.
    """

    largest_class: float = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(0, 1, largest_class=self.largest_class)

    def window_of_mask(self, mask: UInt8[np.ndarray, "height width"], random: Random) -> Window:
        """Draw the scale, then the position, until it will do."""
        window = self.window(mask.shape[0], mask.shape[1], random)
        for _ in range(10):
            if largest_share(mask, window) <= self.largest_class:
                break
            window = self.place(mask.shape[0], mask.shape[1], window.height, window.width, random)
        return window


def largest_share(mask: UInt8[np.ndarray, "height width"], window: Window) -> float:
    """Compute the share of the most frequent class among the pixels of a window that are not ignored.

    Args:
        mask: Class of each pixel.
        window: The part, counted before it is resized.

    Returns:
        From 0 to 1; 1 if all are ignored.

    Example:
        >>> mask = np.array([[0, 0, 0, 1], [255, 255, 255, 255]], np.uint8)
        >>> largest_share(mask, Window(0, 0, 2, 4, (2, 4))), largest_share(mask, Window(1, -3, 9, 9, (9, 9)))
        (0.75, 1.0)
    """
    top, left = max(0, window.top), max(0, window.left)
    part = mask[top : max(0, window.top + window.height), left : max(0, window.left + window.width)]
    counts = np.bincount(part.ravel(), minlength=IGNORED + 1)[:IGNORED]
    return float(counts.max() / counts.sum()) if counts.any() else 1.0
