"""Problems of a training split as a whole, which no single image shows."""

import re
from collections.abc import Sequence
from typing import Literal
from unicodedata import normalize

import numpy as np
from jaxtyping import Int64

from visiontasks.data.datasets.tasks import SegmentationDataset
from visiontasks.data.index.problems import Problem
from visiontasks.errors import DataError
from visiontasks.types import IGNORED

_MISSING = {"", "<na>", "n/a", "na", "nan", "null"}
"""Names, in lower case, that tables have in place of missing values."""


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


def similar_classes(class_names: Sequence[str], root: str) -> list[Problem]:
    """Find classes whose names are probably spellings of one, or stand for a missing value.

    Names are the same if only case, spaces, underscores and hyphens differ, or if they are the same number.

    Args:
        class_names: Names of the classes.
        root: Folder of the data set.

    Example:
        >>> [problem.value for problem in similar_classes(["cat", "1", "Cat", "1.0", "nan"], "")]
        ["'cat' and 'Cat'", "'1' and '1.0'", "'nan'"]
    """
    spellings: dict[str, list[str]] = {}
    for name in class_names:
        spellings.setdefault(_normal(name), []).append(name)
    remedy = "They are learnt as classes of their own: write them the same way if they are one."
    problems = [
        Problem("warning", "classes of similar names", root, "", " and ".join(map(repr, names)), remedy)
        for names in spellings.values()
        if len(names) > 1
    ]
    kind, remedy = "class that stands for a missing value", "It is learnt as a class: leave out what has no class."
    missing = [name for name in class_names if name.lower() in _MISSING]
    return problems + [Problem("warning", kind, root, "", repr(name), remedy) for name in missing]


def _normal(name: str) -> str:
    try:
        number = float(name)
    except ValueError:
        return re.sub(r"[\s_-]+", " ", normalize("NFKC", name).casefold()).strip()
    return name if number != number else repr(number)
