"""Windows of images: the part of an image that a batch shows, and its size.

A window may extend beyond the image; pixels outside are 0 in images and ignored in masks.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from visiontasks.data.images.arrays import Pixels, resize
from visiontasks.types import IGNORED


class Window(NamedTuple):
    """A part of an image and the size to which it is resized, in pixels.

    Attributes:
        top: First row; negative above the image.
        left: First column.
        height: Rows.
        width: Columns.
        size: Height and width after resizing.
    """

    top: int
    left: int
    height: int
    width: int
    size: tuple[int, int]


def show_image(pixels: Pixels, window: Window) -> UInt8[np.ndarray, "rows columns channels"]:
    """Cut the window out of an image and resize it.

    Args:
        pixels: The image, shape [H, W, C].
        window: The part.

    Returns:
        The part, with height and width ``window.size`` and channels last.
    """
    return _show(pixels, window, 0, nearest=False)


def show_mask(
    mask: UInt8[np.ndarray, "height width"] | UInt8[np.ndarray, "planes height width"], window: Window
) -> UInt8[np.ndarray, "rows columns"] | UInt8[np.ndarray, "planes rows columns"]:
    """Cut the window out of a mask and resize it without interpolation; pixels outside the mask are ignored.

    Args:
        mask: Shape [H, W]; or planes of masks, each of which is treated as one.
        window: The part.

    Returns:
        The part, with height and width ``window.size``.
    """
    if mask.ndim == 2:
        return _show(mask, window, IGNORED, nearest=True)
    shown = [_show(plane, window, IGNORED, nearest=True) for plane in mask]
    return np.stack(shown) if shown else np.zeros((0, *window.size), np.uint8)


def show_boxes(boxes: Float64[np.ndarray, "objects 4"], window: Window) -> Float64[np.ndarray, "objects 4"]:
    """Convert boxes to the coordinates of a window, without clipping.

    Args:
        boxes: xyxy in pixels of the image.
        window: The part.

    Returns:
        xyxy in pixels of the resized window.
    """
    scale = np.array([window.size[1] / window.width, window.size[0] / window.height] * 2)
    moved: Float64[np.ndarray, "objects 4"] = (boxes - np.array([window.left, window.top] * 2)) * scale
    return moved


def clip_boxes(
    boxes: Float64[np.ndarray, "objects 4"], size: tuple[int, int], visible: float = 0.0, least: float = 0.0
) -> tuple[Float64[np.ndarray, "objects 4"], Bool[np.ndarray, " objects"]]:
    """Clip boxes to an image and find those of which enough remains visible.

    Args:
        boxes: xyxy in pixels.
        size: Height and width of the image.
        visible: Minimum fraction of its area that a box must keep, 0 to 1.
        least: Minimum width and height of what remains, in pixels.

    Returns:
        All boxes, clipped, and whether each of them has an area and keeps enough of it.
    """
    clipped = np.clip(boxes, 0, np.array([size[1], size[0]] * 2, np.float64))
    sides, before = clipped[:, 2:] - clipped[:, :2], boxes[:, 2:] - boxes[:, :2]
    return clipped, (sides > 0).all(1) & (sides >= least).all(1) & (sides.prod(1) >= visible * before.prod(1))


def _show(pixels: np.ndarray, window: Window, outside: int, nearest: bool) -> np.ndarray:
    height, width = pixels.shape[:2]
    top, left = max(0, window.top), max(0, window.left)
    bottom, right = min(height, window.top + window.height), min(width, window.left + window.width)
    if (bottom - top, right - left) == (window.height, window.width):
        return resize(pixels[top:bottom, left:right], window.size, nearest)
    # Resize before padding, so that the border of the image stays sharp.
    across, down = window.size[1] / window.width, window.size[0] / window.height
    start = round((top - window.top) * down), round((left - window.left) * across)
    end = round((bottom - window.top) * down), round((right - window.left) * across)
    shown = np.full((*window.size, *pixels.shape[2:]), outside, pixels.dtype)
    size = (end[0] - start[0], end[1] - start[1])
    if min(size) > 0:
        shown[start[0] : end[0], start[1] : end[1]] = resize(pixels[top:bottom, left:right], size, nearest)
    return shown
