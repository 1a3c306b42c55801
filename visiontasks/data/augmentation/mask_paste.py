"""Simple copy-paste for masks: some objects of another image, pasted as their masks are where they were there.

Ghiasi et al. 2021, Simple copy-paste is a strong data augmentation method for instance segmentation. What is pasted
covers what lies below: it is cut from the masks there, and the box of a mask that was cut is the one around the rest.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from visiontasks.data.augmentation.windows import clip_boxes
from visiontasks.data.images.arrays import Pixels
from visiontasks.instance_masks import pack_parts, unpack_masks


class Instances(NamedTuple):
    """The objects of an image.

    Attributes:
        boxes: xyxy in pixels.
        bits: Their masks, see :func:`~visiontasks.instance_masks.pack_masks`.
        windows: The windows of the masks; zeros for an object whose mask is not known.
    """

    boxes: Float64[np.ndarray, "objects 4"]
    bits: UInt8[np.ndarray, " bytes"]
    windows: Int64[np.ndarray, "objects 4"]


class PastedMasks(NamedTuple):
    """An image and its objects after pasting.

    Attributes:
        pixels: The image.
        instances: The objects that remain, then those that were pasted.
        kept: Position of the former among the objects of the image.
        added: Position of the latter among the objects of the other image.
    """

    pixels: Pixels
    instances: Instances
    kept: Int64[np.ndarray, " kept"]
    added: Int64[np.ndarray, " added"]


def paste_masks(
    pixels: Pixels,
    own: Instances,
    other_pixels: UInt8[np.ndarray, "rows columns channels"],
    others: Instances,
    chosen: Int64[np.ndarray, " chosen"],
    visible: float,
) -> PastedMasks:
    """Paste some objects of another image at the same place; what lies outside of the image is cut off.

    Objects of the other image that overlap keep their masks, as they are annotated. For an object of the image whose
    mask is not known, the pixels of its box decide whether it remains, and the box stays as it is.

    Args:
        pixels: The image, shape [H, W, C].
        own: Its objects.
        other_pixels: The other image, of any size.
        others: Its objects.
        chosen: Positions of those that are pasted, which have masks.
        visible: Least fraction of the pixels of a mask that must be visible, 0 to 1; one at least must be.

    Example:
        >>> black, white = np.zeros((4, 4, 1), np.uint8), np.full((4, 4, 1), 255, np.uint8)
        >>> row, whole = np.array([[0, 2, 4, 3]]), np.array([[0, 0, 4, 4]])
        >>> below = Instances(whole.astype(float), np.packbits(np.ones((4, 4), np.uint8)), whole)
        >>> above = Instances(row.astype(float), np.packbits(np.ones((1, 4), np.uint8)), row)
        >>> pasted = paste_masks(black, below, white, above, np.array([0]), visible=0.1)
        >>> [mask.tolist() for mask in unpack_masks(pasted.instances.bits, pasted.instances.windows)]
        [[[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]], [[1, 1, 1, 1]]]
    """
    size = (pixels.shape[0], pixels.shape[1])
    height, width = (min(sides) for sides in zip(size, other_pixels.shape[:2], strict=True))
    covered = np.zeros(size, np.bool_)
    parts: list[UInt8[np.ndarray, "_ _"]] = []
    added, cut = [], []
    masks = list(unpack_masks(others.bits, others.windows))
    for number in chosen.tolist():
        left, top = others.windows[number, :2].tolist()
        part = masks[number][: max(0, height - top), : max(0, width - left)]
        if _is_seen(part, masks[number], visible):
            covered[top : top + part.shape[0], left : left + part.shape[1]] |= part != 0
            added.append(number)
            parts.append(part)
            cut.append(part.size < masks[number].size)

    kept: list[int] = []
    for number, mask in enumerate(unpack_masks(own.bits, own.windows)):
        known = mask.size > 0
        left, top, right, bottom = (own.windows if known else own.boxes.round().astype(np.int64))[number].tolist()
        free = ~covered[top:bottom, left:right]
        rest = mask & free if known else mask
        if _is_seen(rest, mask, visible) if known else _is_seen(free, np.ones_like(free), visible):
            parts.insert(len(kept), rest)
            cut.insert(len(kept), np.count_nonzero(rest) < np.count_nonzero(mask))
            kept.append(number)

    corners = np.concatenate([own.windows[kept], others.windows[added]])[:, :2]
    bits, windows = pack_parts(parts, [(left, top) for left, top in corners.tolist()])
    boxes, _ = clip_boxes(np.concatenate([own.boxes[kept], others.boxes[added]]), size)
    boxes[cut] = windows[cut]
    shown = pixels.copy()
    region = covered[:height, :width]
    shown[:height, :width][region] = other_pixels[:height, :width][region]
    instances = Instances(boxes, bits, windows)
    return PastedMasks(shown, instances, np.array(kept, np.int64), np.array(added, np.int64))


def _is_seen(
    rest: UInt8[np.ndarray, "_ _"] | Bool[np.ndarray, "_ _"],
    whole: UInt8[np.ndarray, "_ _"] | Bool[np.ndarray, "_ _"],
    visible: float,
) -> bool:
    pixels = np.count_nonzero(rest)
    return bool(pixels and pixels >= visible * np.count_nonzero(whole))
