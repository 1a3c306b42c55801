"""The size of the crops that a segmentation is trained on, and how much of an image they show."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from visiontasks.data.augmentation.resizing import RandomScaledCrop
from visiontasks.data.datasets.file_dataset import FileDataset
from visiontasks.data.messages import inform, warn
from visiontasks.errors import UnreadableFileError

_MULTIPLE = 32
"""The stride of the coarsest map of most backbones."""
_SCALES = 16
_SAMPLED = 200
"""Number of images whose sizes are looked at."""
_MOST_IGNORED = 0.5


def fit_crops(dataset: FileDataset[Any], *, given: bool, scale: float = 1.0) -> FileDataset[Any]:
    """Fit the random crops of a training to the images unless their size was given; warn if most pixels lie outside.

    Args:
        dataset: The training images; its resizing is changed in place, if it crops.
        given: Whether the user chose the size of the crops.
        scale: Factor of the size of the images at which they are seen.

    Returns:
        The training images.
    """
    crops = dataset.resizing
    if not isinstance(crops, RandomScaledCrop) or not (sizes := _some_sizes(dataset)):
        return dataset  # that none can be read is said where they are
    fitting = fitting_crop([(height * scale, width * scale) for height, width in sizes], crops.size)
    height, width = (int(side) for side in np.median(np.array(sizes), axis=0))
    if not given:
        if fitting != crops.size:
            inform(
                f"Training crops are {fitting[0]} x {fitting[1]} pixels (height x width), as images are {height} x "
                f"{width} in the median; image_size sets another size."
            )
        dataset.resizing = replace(crops, size=fitting)
        return dataset
    ignored = ignored_share(sizes, crops.size, crops.scale)
    if ignored > _MOST_IGNORED:
        warn(
            f"{ignored:.0%} of the pixels of training crops lie outside the images and are ignored: crops of "
            f"{crops.size[0]} x {crops.size[1]} pixels (height x width) are taken from images of {height} x {width} in "
            f"the median, at scales of {crops.scale[0]:g} to {crops.scale[1]:g}. Leave image_size out, which chooses "
            f"{fitting[0]} x {fitting[1]}, or give a smaller one or a larger crop_scale."
        )
    return dataset


def fitting_crop(sizes: Sequence[tuple[float, float]], largest: tuple[int, int]) -> tuple[int, int]:
    """Choose crops that lie within most images: within the median of their sides, a multiple of 32 pixels.

    Args:
        sizes: Height and width of images in pixels.
        largest: Height and width that are enough, however large the images.

    Example:
        >>> fitting_crop([(90, 120)] * 3, (384, 384)), fitting_crop([(1080, 1920)], (384, 384))
        ((64, 96), (384, 384))
    """
    height, width = np.median(np.array(sizes), axis=0)
    return _within(height, largest[0]), _within(width, largest[1])


def ignored_share(sizes: Sequence[tuple[int, int]], crop: tuple[int, int], scale: tuple[float, float]) -> float:
    """Compute which share of the pixels of crops lies outside the images, and is ignored.

    Args:
        sizes: Height and width of images in pixels.
        crop: Height and width of the crops.
        scale: Minimum and maximum scale of the images from which they are taken.

    Example:
        >>> round(ignored_share([(90, 120)], (384, 384), (0.5, 2.0)), 2), ignored_share([(90, 120)], (45, 60), (1, 1))
        (0.9, 0.0)
    """
    scales = np.geomspace(*scale, _SCALES)
    sides = np.array(sizes)[:, None] * scales[None, :, None]
    shown = np.minimum(sides / np.array(crop), 1).prod(-1)
    return float(1 - shown.mean())


def _within(side: float, largest: int) -> int:
    return min(largest, max(_MULTIPLE, int(side) // _MULTIPLE * _MULTIPLE))


def _some_sizes(dataset: FileDataset[Any]) -> list[tuple[int, int]]:
    sizes = []
    for image in np.linspace(0, len(dataset) - 1, min(len(dataset), _SAMPLED)).astype(int).tolist():
        try:
            sizes.append(dataset.size(image))
        except UnreadableFileError:
            continue
    return sizes
