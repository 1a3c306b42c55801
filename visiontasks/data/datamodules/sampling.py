"""How the training images of files are drawn."""

from typing import Any

import numpy as np

from visiontasks.data.augmentation.resizing import Within
from visiontasks.data.datasets.file_dataset import FileDataset
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.loading.ordering import aspect_groups, class_balanced_weights


def drawing(images: FileDataset[Any], index: ImageIndex, *, balanced: bool) -> dict[str, Any]:
    """Return the arguments of a sampler: batches of similar shapes if shapes vary, and balanced classes if asked for.

    Args:
        images: The training images.
        index: Their annotations.
        balanced: Whether images of rare classes are drawn more often.

    Raises:
        ArgumentError: If images are to be balanced but have no classes.
    """
    weights = class_balanced_weights(index.labels, index.offsets) if balanced else None
    of_any_shape = isinstance(images.resizing, Within)
    return {"weights": weights, "groups": aspect_groups(np.maximum(images.sizes(), 1)) if of_any_shape else None}
