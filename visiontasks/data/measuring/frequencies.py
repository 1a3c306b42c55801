"""Class frequencies in masks, and weights that balance the classes."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from tqdm import tqdm

from visiontasks.data.datasets.file_dataset import FileDataset
from visiontasks.data.datasets.tasks import SegmentationDataset
from visiontasks.data.loading.processes import on_first_process
from visiontasks.errors import ArgumentError, DataError, UnreadableFileError
from visiontasks.types import IGNORED


def median_frequency_weights(dataset: FileDataset[Any]) -> Float32[Tensor, " classes"]:
    """Compute the weight of each class by median-frequency balancing.

    Eigen and Fergus, Predicting depth, surface normals and semantic labels with a common multi-scale convolutional
    architecture (ICCV 2015), section 6.3.2; used by SegNet. The frequency of a class is the number of its pixels
    divided by the number of all pixels, excluding ignored ones, in the images where it occurs; its weight is the median
    of all frequencies divided by its own. A class that does not occur has weight 1, which has no effect.

    If there are several processes, the first one reads the masks and sends the result to the others.

    Args:
        dataset: The training images; their masks are read without augmentation.

    Raises:
        ArgumentError: If the images have no masks.
        DataError: If a mask is invalid, or all pixels are ignored.
    """
    if not isinstance(dataset, SegmentationDataset):
        message = f"class_weights 'median_frequency' is of pixels; the data set is a {type(dataset).__name__}."
        raise ArgumentError(message)
    return on_first_process(lambda: balance(*_count(dataset)))


def balance(
    pixels: Int64[np.ndarray, " classes"], around: Int64[np.ndarray, " classes"]
) -> Float32[Tensor, " classes"]:
    """Compute class weights from pixel counts.

    Args:
        pixels: Number of pixels of each class.
        around: Number of all pixels in the images in which the class occurs.

    Raises:
        DataError: If no class has a pixel.

    Example:
        >>> balance(np.array([80, 10, 0]), np.array([100, 20, 0]))
        tensor([0.8125, 1.3000, 1.0000])
    """
    occurs = pixels > 0
    if not occurs.any():
        message = "All pixels of the training masks are ignored, so that class weights cannot be computed."
        raise DataError(message)
    frequency = pixels[occurs] / around[occurs]
    weights = np.ones(len(pixels), np.float32)
    weights[occurs] = np.median(frequency) / frequency
    return torch.from_numpy(weights)


def _count(dataset: SegmentationDataset) -> tuple[Int64[np.ndarray, " classes"], Int64[np.ndarray, " classes"]]:
    pixels, around = np.zeros(dataset.classes, np.int64), np.zeros(dataset.classes, np.int64)
    for index in tqdm(range(len(dataset)), desc="class frequencies", unit=" masks", disable=None):
        try:
            mask = dataset.mask(index)
        except UnreadableFileError:
            if dataset.on_error == "raise":
                raise
            continue
        counts = np.bincount(mask.ravel(), minlength=IGNORED + 1)[: dataset.classes]
        pixels += counts
        around += np.where(counts > 0, counts.sum(), 0)
    return pixels, around
