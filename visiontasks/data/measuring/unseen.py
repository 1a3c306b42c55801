"""Problems of a training split as a whole, which no single image shows."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Int64

from visiontasks.data.datasets.tasks import SegmentationDataset
from visiontasks.data.index.problems import Problem
from visiontasks.errors import DataError
from visiontasks.types import IGNORED


def binary_masks(dataset: SegmentationDataset) -> list[Problem]:
    """Find masks of 0 and 255, as some tools write them for one class, although training ignores 255.

    Masks are read until one contains another value, which usually is one of the first.

    Args:
        dataset: The training split.
    """
    if dataset.index.masks is None or dataset.ignore_index != IGNORED or dataset.classes < 2 or dataset.mask_values:
        return []
    ignored = False
    for image in range(len(dataset)):
        try:
            mask = dataset.mask(image)
        except DataError:  # reported where it is read
            continue
        if ((mask != 0) & (mask != IGNORED)).any():
            return []
        ignored = ignored or bool(mask.any())
    remedy = (
        "255 stands for pixels that are ignored: name what it stands for by mask_values={'background': 0, 'object': "
        "255} (or in classes.txt: '0 background' and '255 object'), or write 1 instead."
    )
    value = "the masks hold 0 and 255 only"
    root = str(dataset.index.root)
    return [Problem("error", "every object is ignored", root, "train", value, remedy)] if ignored else []


def unseen_classes(
    class_names: Sequence[str], counts: Int64[np.ndarray, " classes"], of: Literal["objects", "pixels"], root: str
) -> list[Problem]:
    """Find classes without training data.

    Args:
        class_names: Names of the classes.
        counts: Count of each class in the training split.
        of: What was counted.
        root: Folder of the data set.
    """
    kind, remedy = f"class without {of} in training", "It cannot be learnt: annotate some, or leave the class out."
    unseen = np.flatnonzero(counts == 0).tolist()
    return [Problem("warning", kind, root, class_names[label], "", remedy) for label in unseen]
