"""Masks of objects while their image is changed: as bits of planes, each of which is moved as a mask of classes is.

Masks are never interpolated, so that the bits of a byte move together, as the class of a pixel does: the masks of 20
objects cost as much as three masks of classes. Pixels from outside the image are 255, which no seven masks make.
"""

import numpy as np
from jaxtyping import Int64, UInt8

from visiontasks.instance_masks import unpack_masks
from visiontasks.types import IGNORED

_MASKS = 7
"""Number of masks in a plane; the eighth bit tells what lies outside."""

Planes = UInt8[np.ndarray, "planes height width"]


def paint_planes(
    bits: UInt8[np.ndarray, " bytes"], windows: Int64[np.ndarray, "objects 4"], size: tuple[int, int]
) -> Planes:
    """Paint packed masks.

    Args:
        bits: The masks, see :func:`~visiontasks.instance_masks.pack_masks`.
        windows: Their windows.
        size: Height and width of the image.

    Returns:
        Planes of the size of the image, one for every seven objects.
    """
    planes = np.zeros((-(-len(windows) // _MASKS), *size), np.uint8)
    for number, (window, mask) in enumerate(zip(windows.tolist(), unpack_masks(bits, windows), strict=True)):
        left, top, right, bottom = window
        planes[number // _MASKS, top:bottom, left:right] |= mask << number % _MASKS
    return planes


def pack_planes(
    planes: Planes, objects: Int64[np.ndarray, " objects"]
) -> tuple[UInt8[np.ndarray, " bytes"], Int64[np.ndarray, "objects 4"]]:
    """Pack the masks of some objects, as :func:`~visiontasks.instance_masks.pack_masks` does.

    Args:
        planes: The planes; what lies outside of the image (255) is in no mask.
        objects: Positions of the objects.

    Returns:
        The bits of the masks, and their windows.
    """
    planes = np.where(planes == IGNORED, 0, planes)
    # Which masks of a plane have a pixel in each row and in each column.
    in_rows, in_columns = np.bitwise_or.reduce(planes, axis=2), np.bitwise_or.reduce(planes, axis=1)
    windows = np.zeros((len(objects), 4), np.int64)
    parts = [np.zeros(0, np.uint8)]
    for number, window in zip(objects.tolist(), windows, strict=True):
        plane, bit = number // _MASKS, np.uint8(1 << number % _MASKS)
        columns = np.flatnonzero(in_columns[plane] & bit)
        if len(columns):
            rows = np.flatnonzero(in_rows[plane] & bit)
            left, top, right, bottom = window[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
            parts.append(np.packbits(planes[plane, top:bottom, left:right] & bit))
    return np.concatenate(parts), windows


def separate(planes: Planes, objects: Int64[np.ndarray, " objects"]) -> UInt8[np.ndarray, "objects height width"]:
    """Return the masks of some objects as zeros and ones, each of the size of the image."""
    return planes[objects // _MASKS] >> (objects % _MASKS).astype(np.uint8)[:, None, None] & 1


def joined(
    masks: UInt8[np.ndarray, "objects height width"], objects: Int64[np.ndarray, " objects"], count: int
) -> Planes:
    """Put masks back into planes.

    Args:
        masks: Zeros and ones; other values are outside of the image.
        objects: Position of the object of each mask.
        count: Number of objects, with those that have no mask any more.
    """
    planes = np.zeros((-(-count // _MASKS), *masks.shape[1:]), np.uint8)
    for mask, number in zip(masks, objects.tolist(), strict=True):
        planes[number // _MASKS] |= (mask == 1).astype(np.uint8) << number % _MASKS
    return planes
