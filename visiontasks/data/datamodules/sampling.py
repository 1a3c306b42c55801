"""How the training images of files are drawn."""

from typing import Any

import numpy as np

from visiontasks.data.augmentation.resizing import Within
from visiontasks.data.datasets.file_dataset import FileDataset
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.loading.ordering import aspect_groups, class_balanced_weights, repeat_factors
from visiontasks.errors import ArgumentError


def drawing(
    images: FileDataset[Any], index: ImageIndex, balanced: bool = False, repeat_threshold: float | None = None
) -> dict[str, Any]:
    """Return the arguments of a sampler: batches of similar shapes if shapes vary, and rare classes more often.

    Args:
        images: The training images.
        index: Their annotations.
        balanced: Whether images of rare classes are drawn as often as those of frequent ones.
        repeat_threshold: Fraction of the images below which a class is rare, whose images are then repeated; None for
            no repetition.

    Raises:
        ArgumentError: If images are to be drawn by their classes but have none, or in both ways.
    """
    if balanced and repeat_threshold is not None:
        message = "balanced and repeat_threshold are two ways to draw rare classes more often; expected one of them."
        raise ArgumentError(message)
    options: dict[str, Any] = {}
    if balanced:
        options["weights"] = class_balanced_weights(index.labels, index.offsets)
    if repeat_threshold is not None:
        options["repeats"] = repeat_factors(index.labels, index.offsets, repeat_threshold)
    if isinstance(images.resizing, Within):
        options["groups"] = aspect_groups(np.maximum(images.sizes(), 1))
    return options
