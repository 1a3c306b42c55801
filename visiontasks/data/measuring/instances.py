"""What the masks of the objects of a data set show when they are drawn."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from visiontasks.data.datasets.instances import InstanceDataset
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.problems import Problem


class DrawnMasks(NamedTuple):
    """The masks of an image.

    Attributes:
        shown: Number of objects whose mask has a pixel.
        blank: Number of objects with polygons or run lengths that cover no pixel.
        apart: Number of objects whose mask lies outside of their box.
    """

    shown: int
    blank: int
    apart: int


def draw_masks(dataset: InstanceDataset, image: int) -> DrawnMasks:
    """Draw the masks of the objects of an image.

    Raises:
        ArgumentError: If the annotations have no masks.
        UnreadableFileError: If the size of the image cannot be read.
        DataError: If run lengths are those of an image of another size.
    """
    index: ImageIndex = dataset.index  # type: ignore[assignment]  # of a data module of files
    _, windows = index.packed_masks(image, dataset.size(image))
    assert index.segments is not None
    rows = slice(index.offsets[image], index.offsets[image + 1])
    boxes, shown = index.objects(image).boxes, windows.any(1)
    assert boxes is not None
    low, high = np.maximum(boxes[:, :2], windows[:, :2]), np.minimum(boxes[:, 2:], windows[:, 2:])
    apart = shown & (low >= high).any(1)
    blank = index.segments.known()[rows] & ~shown
    return DrawnMasks(int(shown.sum()), int(blank.sum()), int(apart.sum()))


def mask_problems(drawn: Sequence[DrawnMasks | None], index: ImageIndex, split: str) -> list[Problem]:
    """Report what the masks of a split have in common, with the number of objects and the first file.

    Args:
        drawn: The masks of each image; None if they could not be drawn.
        index: The images.
        split: Name of the split.
    """
    problems = []
    for name, kind, remedy in (
        ("blank", "masks without a pixel", "Their boxes are learnt; their polygons are thinner than a pixel."),
        ("apart", "masks outside of their boxes", "Boxes and masks may be those of different objects: correct them."),
    ):
        images = [image for image, masks in enumerate(drawn) if masks is not None and getattr(masks, name)]
        if images:
            count = sum(getattr(drawn[image], name) for image in images)
            value = f"{count} objects, the first in {str(index.file(images[0]))!r}"
            problems.append(Problem("warning", kind, str(index.root), split, value, remedy))
    return problems
