"""Images whose pixels are the number of an object, and what they show: the mask, the box and the class of each object.

The masks become run lengths, so that files are read once, when annotations are parsed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Integer
from pycocotools import mask as coco_mask

from visiontasks.data.images.mask_reading import read_colours, read_mask
from visiontasks.data.index.ragged import PackedStrings
from visiontasks.data.index.segments import Segments
from visiontasks.errors import UnreadableFileError
from visiontasks.types import IGNORED


class MapInstance(NamedTuple):
    """An object of an image.

    Attributes:
        number: Value of its pixels.
        label: Class of most of its pixels that have one; -1 if none has.
        box: The box around its pixels, xyxy.
        runs: Its mask as run lengths in COCO's compressed form.
    """

    number: int
    label: int
    box: tuple[float, float, float, float]
    runs: str


def read_numbers(path: Path) -> Integer[np.ndarray, "height width"]:
    """Read the number of the object of each pixel: the value as it is stored, or a number for each colour.

    Raises:
        UnreadableFileError: If the file is missing, damaged or compressed with loss.
    """
    try:
        return read_mask(path)
    except UnreadableFileError:
        colours = read_colours(path).astype(np.int64)  # raises the same of a file that is none of both
        return colours[..., 0] << 16 | colours[..., 1] << 8 | colours[..., 2]


def find_instances(
    numbers: Integer[np.ndarray, "height width"],
    labels: Integer[np.ndarray, "height width"] | None,
    none: Sequence[int] = (0,),
) -> list[MapInstance]:
    """Find the objects of an image.

    Args:
        numbers: Number of the object of each pixel.
        labels: Class of each pixel, 255 for none; None gives all objects the class 0.
        none: Numbers of pixels without an object.

    Example:
        >>> found = find_instances(np.array([[0, 7, 7], [0, 0, 9]]), np.array([[255, 2, 2], [255, 255, 1]], np.uint8))
        >>> [(one.number, one.label, one.box) for one in found]
        [(7, 2, (1.0, 0.0, 3.0, 1.0)), (9, 1, (2.0, 1.0, 3.0, 2.0))]
    """
    instances = []
    for number in np.setdiff1d(numbers, none).tolist():
        mask = np.asfortranarray(numbers == number, np.uint8)
        runs = coco_mask.encode(mask)
        left, top, width, height = coco_mask.toBbox(runs).tolist()
        counts = np.bincount([0] if labels is None else labels[mask != 0], minlength=IGNORED)[:IGNORED]
        label = int(counts.argmax()) if counts.any() else -1
        box = (left, top, left + width, top + height)
        instances.append(MapInstance(number, label, box, runs["counts"].decode()))
    return instances


def pack_runs(runs: Sequence[str]) -> Segments:
    """Pack the run lengths of objects; "" for an object without a mask."""
    none = np.zeros(0, np.int64)
    return Segments(
        none.astype(np.uint16), np.zeros(1, np.int64), np.zeros(len(runs) + 1, np.int64), PackedStrings.pack(runs)
    )


def match_boxes(
    instances: Sequence[MapInstance],
    boxes: Float64[np.ndarray, "objects 4"],
    labels: Integer[np.ndarray, " objects"],
) -> list[int]:
    """Find the annotated object of each mask: of its class, with a box that holds three quarters of the mask's box.

    Where the numbers of all masks are those of such objects, counted from 1 as in PASCAL VOC's own files, they decide.
    Otherwise boxes are matched from the greatest overlap on, each once.

    Args:
        instances: The masks.
        boxes: Boxes of the annotated objects, xyxy.
        labels: Their classes.

    Returns:
        The position of the object of each mask; -1 if there is none.
    """
    pairs = []
    for row, one in enumerate(instances):
        for position, (box, label) in enumerate(zip(boxes.tolist(), labels.tolist(), strict=True)):
            inside, overlap = _overlap(one.box, box)
            if label == one.label and inside >= _LEAST_INSIDE:
                pairs.append((overlap, one.number == position + 1, row, position))
    numbered = {row: position for _, same, row, position in pairs if same}
    if len(numbered) == len(instances):
        return [numbered[row] for row in range(len(instances))]
    found, taken = [-1] * len(instances), set[int]()
    for _, _, row, position in sorted(pairs, key=lambda pair: (-pair[0], not pair[1], *pair[2:])):
        if found[row] < 0 and position not in taken:
            found[row] = position
            taken.add(position)
    return found


_LEAST_INSIDE = 0.75


def _overlap(inner: Sequence[float], outer: Sequence[float]) -> tuple[float, float]:
    """Return the share of a box that lies in another one, and the intersection over the union of both."""
    sides = [min(inner[axis + 2], outer[axis + 2]) - max(inner[axis], outer[axis]) for axis in (0, 1)]
    shared = max(0.0, sides[0]) * max(0.0, sides[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (inner, outer)]
    return shared / areas[0], shared / (sum(areas) - shared)
