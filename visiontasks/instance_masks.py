"""Masks of instances as bits: each in the window around it, eight pixels to a byte.

A mask takes as many bits as its window has pixels, so that the masks of an image take a fraction of the image: 20
objects in windows of 100 x 100 take 25 kB, where one byte for each pixel of an image of 800 x 1333 takes 21 MB.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int64, UInt8


def pack_masks(
    masks: Bool[np.ndarray, "objects height width"] | UInt8[np.ndarray, "objects height width"],
) -> tuple[UInt8[np.ndarray, " bytes"], Int64[np.ndarray, "objects 4"]]:
    """Pack the masks of an image.

    Args:
        masks: What belongs to each object; uint8 are zeros and ones.

    Returns:
        The bits of all masks, in order of the objects: the pixels of each window row by row, from the highest bit to
        the lowest, each mask from a new byte. And the windows, xyxy in pixels; zeros for an empty mask.

    Example:
        >>> pack_masks(np.array([[[0, 0, 0], [0, 1, 1]]], np.uint8))
        (array([192], dtype=uint8), array([[1, 1, 3, 2]]))
    """
    return pack_parts(list(masks), [(0, 0)] * len(masks))


def pack_parts(
    masks: Sequence[Bool[np.ndarray, "_ _"] | UInt8[np.ndarray, "_ _"]], corners: Sequence[tuple[int, int]]
) -> tuple[UInt8[np.ndarray, " bytes"], Int64[np.ndarray, "objects 4"]]:
    """Pack the masks of an image that are given for a part of it each.

    Args:
        masks: What belongs to each object.
        corners: First column and row of each part.

    Returns:
        What :func:`pack_masks` returns.
    """
    windows = np.zeros((len(masks), 4), np.int64)
    parts = [np.zeros(0, np.uint8)]
    for mask, corner, window in zip(masks, corners, windows, strict=True):
        columns = np.flatnonzero(mask.any(0))
        if len(columns):
            rows = np.flatnonzero(mask.any(1))
            left, top, right, bottom = window[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
            parts.append(np.packbits(mask[top:bottom, left:right]))
            window += np.tile(corner, 2)
    return np.concatenate(parts), windows


def unpack_masks(
    bits: UInt8[np.ndarray, " bytes"], windows: Int64[np.ndarray, "objects 4"]
) -> Iterator[UInt8[np.ndarray, "rows columns"]]:
    """Yield the masks of an image, each in its window, as zeros and ones.

    Args:
        bits: What :func:`pack_masks` returns, with any number of bytes after it.
        windows: The windows, with any number of zeros after them.
    """
    start = 0
    for left, top, right, bottom in windows.tolist():
        pixels = (bottom - top) * (right - left)
        end = start + -(-pixels // 8)
        yield np.unpackbits(bits[start:end], count=pixels).reshape(bottom - top, right - left)
        start = end


def take_masks(
    bits: UInt8[np.ndarray, " bytes"], windows: Int64[np.ndarray, "objects 4"], objects: Int64[np.ndarray, " taken"]
) -> tuple[UInt8[np.ndarray, " taken_bytes"], Int64[np.ndarray, "taken 4"]]:
    """Select the masks of some objects of an image, in the given order.

    Args:
        bits: What :func:`pack_masks` returns, with any number of bytes after it.
        windows: The windows.
        objects: Positions of the objects.
    """
    ends = np.cumsum(-(-(windows[:, 2:] - windows[:, :2]).prod(1) // 8))
    starts = np.concatenate([[0], ends[:-1]])
    parts = [bits[starts[number] : ends[number]] for number in objects.tolist()]
    return np.concatenate([np.zeros(0, np.uint8), *parts]), windows[objects]
