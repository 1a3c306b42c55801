"""Simple copy-paste for boxes: the content of some boxes of another image, pasted where it was there.

Ghiasi et al. 2021, Simple copy-paste is a strong data augmentation method for instance segmentation. Pasted are whole
rectangles. Of a box that they cover, or of a box of the other image that they cut, the box of what is visible remains,
if that is enough of its area.
"""

from random import Random
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from visiontasks.data.images.arrays import Pixels


class Pasted(NamedTuple):
    """An image and its boxes after pasting.

    Attributes:
        pixels: The image.
        boxes: The boxes that remain, then those that were pasted, xyxy in pixels.
        kept: Position of the former among the boxes of the image.
        added: Position of the latter among the boxes of the other image.
    """

    pixels: Pixels
    boxes: Float64[np.ndarray, "objects 4"]
    kept: Int64[np.ndarray, " kept"]
    added: Int64[np.ndarray, " added"]


def choose(candidates: Int64[np.ndarray, " candidates"], random: Random) -> Int64[np.ndarray, " chosen"]:
    """Choose some objects at random, any number from 1 on equally likely; none if there are none."""
    count = random.randint(1, len(candidates)) if len(candidates) else 0
    return np.array(sorted(random.sample(candidates.tolist(), count)), np.int64)


def paste(
    pixels: Pixels,
    boxes: Float64[np.ndarray, "objects 4"],
    other_pixels: UInt8[np.ndarray, "rows columns channels"],
    other_boxes: Float64[np.ndarray, "others 4"],
    chosen: Int64[np.ndarray, " chosen"],
    visible: float,
) -> Pasted:
    """Paste the content of some boxes of another image, at the same place; what lies outside of the image is cut off.

    Args:
        pixels: The image, shape [H, W, C].
        boxes: Its boxes, xyxy in pixels.
        other_pixels: The other image, of any size.
        other_boxes: Its boxes.
        chosen: Positions of those that are pasted.
        visible: Least fraction of its area that must be visible of a box, 0 to 1.

    Returns:
        The image with boxes of both. A box of the other image that was not chosen is there as well if enough of it lies
        within those that were, so that what is seen is annotated.

    Example:
        >>> black, white = np.zeros((8, 8, 1), np.uint8), np.full((8, 8, 1), 255, np.uint8)
        >>> own, other = np.array([[0.0, 0, 8, 4]]), np.array([[4.0, 0, 8, 6]])
        >>> paste(black, own, white, other, np.array([0]), visible=0.1).boxes.tolist()
        [[0.0, 0.0, 4.0, 4.0], [4.0, 0.0, 8.0, 6.0]]
    """
    size = np.array([min(sides) for sides in zip(pixels.shape[1::-1], other_pixels.shape[1::-1], strict=True)] * 2)
    corners = other_boxes[chosen]
    corners = np.concatenate([np.floor(corners[:, :2]), np.ceil(corners[:, 2:])], 1).clip(0, size)
    rectangles = corners[(corners[:, 2:] > corners[:, :2]).all(1)].astype(np.int64)
    pixels = pixels.copy()
    for left, top, right, bottom in rectangles.tolist():
        pixels[top:bottom, left:right] = other_pixels[top:bottom, left:right]
    left_over, kept = _visible_parts(boxes, rectangles, visible, inside=False)
    added_boxes, added = _visible_parts(other_boxes, rectangles, visible, inside=True)
    return Pasted(pixels, np.concatenate([left_over, added_boxes]), kept, added)


def _visible_parts(
    boxes: Float64[np.ndarray, "objects 4"], rectangles: Int64[np.ndarray, "rectangles 4"], least: float, inside: bool
) -> tuple[Float64[np.ndarray, "kept 4"], Int64[np.ndarray, " kept"]]:
    """Return the boxes of what lies inside or outside of rectangles, and the positions of those that keep enough."""
    parts = [_visible_part(box, rectangles, inside) for box in boxes]
    kept = [position for position, (_, share) in enumerate(parts) if share > 0 and share >= least]
    return np.array([parts[position][0] for position in kept]).reshape(-1, 4), np.array(kept, np.int64)


def _visible_part(
    box: Float64[np.ndarray, "4"], rectangles: Int64[np.ndarray, "rectangles 4"], inside: bool
) -> tuple[Float64[np.ndarray, "4"], float]:
    """Return the box around what lies inside or outside of rectangles, and the fraction of the box's area that does."""
    cut = np.clip(rectangles, np.tile(box[:2], 2), np.tile(box[2:], 2))
    # The sides of the rectangles divide the box into cells, each of which is covered or not.
    columns, rows = np.unique([*box[::2], *cut[:, ::2].ravel()]), np.unique([*box[1::2], *cut[:, 1::2].ravel()])
    covered: Bool[np.ndarray, "rows columns"] = np.zeros((len(rows) - 1, len(columns) - 1), bool)
    for left, top, right, bottom in cut:
        first, last = np.searchsorted(rows, (top, bottom))
        covered[first:last, slice(*np.searchsorted(columns, (left, right)))] = True
    seen = covered if inside else ~covered
    if not seen.any():
        return box, 0.0
    areas = np.outer(np.diff(rows), np.diff(columns))
    down, across = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    around = np.array([columns[across[0]], rows[down[0]], columns[across[-1] + 1], rows[down[-1] + 1]])
    return around, float(areas[seen].sum() / areas.sum())
