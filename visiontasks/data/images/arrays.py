"""Arrays as images: values brought to 0 to 255, channels to those that are asked for, and sizes."""

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from visiontasks.errors import UnreadableFileError

Pixels = UInt8[np.ndarray, "height width channels"]


def as_pixels(array: np.ndarray, channels: int = 3, value_range: tuple[float, float] | None = None) -> Pixels:
    """Convert an array to the format in which files are read.

    Args:
        array: Shape [H, W] or [H, W, C]; uint8, uint16, or floating point in 0 to 1; with ``value_range`` any numbers.
        channels: Number of channels: 1 for grey, 3 for RGB, or that of the array.
        value_range: Values that become 0 and 255, as when files are read.

    Returns:
        Pixels from 0 to 255, shape [H, W, C].

    Raises:
        UnreadableFileError: If its shape, values or number of channels are not as above.
    """
    if array.ndim not in (2, 3) or not array.size:
        message = f"An array of shape {list(array.shape)} is not an image; expected [H, W] or [H, W, C]."
        raise UnreadableFileError(message)
    try:
        return with_channels(as_bytes(array, value_range), channels)
    except ValueError as error:
        message = f"An array is not an image: {error}"
        raise UnreadableFileError(message) from error


def to_tensor(pixels: Pixels) -> UInt8[Tensor, "channels height width"]:
    """Convert pixels [H, W, C] to a tensor [C, H, W] in channels-last memory, without a copy if possible."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)


def resize(pixels: np.ndarray, size: tuple[int, int], nearest: bool = False) -> np.ndarray:
    """Resize an image or a mask.

    Args:
        pixels: Shape [H, W, C], or [H, W].
        size: Height and width to resize to.
        nearest: Whether to take the value of the nearest pixel, as masks require. Otherwise values are interpolated
            linearly, and along a side that shrinks to less than half, where linear interpolation would skip pixels,
            averaged over areas.

    Returns:
        The array in its new size.
    """
    height, width = pixels.shape[:2]
    if (height, width) == size:
        return pixels
    method = cv2.INTER_NEAREST_EXACT if nearest else cv2.INTER_LINEAR
    if not nearest and (2 * size[0] < height or 2 * size[1] < width):
        # OpenCV averages only if no side grows, and otherwise skips pixels: the sides that shrink come first.
        smaller = (min(height, size[0]), min(width, size[1]))
        pixels = cv2.resize(pixels, smaller[::-1], interpolation=cv2.INTER_AREA).reshape(*smaller, *pixels.shape[2:])
        if smaller == size:
            return pixels
    return cv2.resize(pixels, (size[1], size[0]), interpolation=method).reshape(*size, *pixels.shape[2:])


def as_bytes(pixels: np.ndarray, value_range: tuple[float, float] | None = None) -> np.ndarray:
    """Map values to 0 to 255: those of a range linearly, otherwise those of their type.

    Raises:
        ValueError: If no range is given and the values are not uint8, uint16 or in 0 to 1.
    """
    if value_range is not None:
        low, high = value_range
        clipped = np.nan_to_num(pixels.astype(np.float32), nan=low).clip(low, high)
        mapped: np.ndarray = np.rint((clipped - low) * (255 / (high - low))).astype(np.uint8)
        return mapped
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.bool_:
        return pixels * np.uint8(255)
    if pixels.dtype.kind in "iu" and pixels.itemsize == 2 and pixels.size and pixels.min() >= 0:
        return (pixels >> 8).astype(np.uint8)
    if pixels.dtype.kind == "f" and np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1:
        scaled: np.ndarray = np.rint(pixels * 255).astype(np.uint8)
        return scaled
    message = (
        f"its {pixels.dtype} values run from {pixels.min()} to {pixels.max()}; expected uint8, uint16, "
        "or floating point in 0 to 1"
    )
    raise ValueError(message)


def with_channels(pixels: np.ndarray, channels: int) -> Pixels:
    """Convert an image, [H, W] or [H, W, C], to a number of channels; 0 keeps its own.

    Raises:
        ValueError: If it has another number of channels, and they are not colours and grey.
    """
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    count = pixels.shape[2]
    if count == channels or channels == 0:
        return pixels
    if count == 3 and channels == 1:
        return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None]
    if count == 1 and channels == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    remedy = f"Set in_channels to {count}, or convert the file"
    if pixels.shape[0] == channels:
        remedy = (
            f"Its shape {list(pixels.shape)} looks like [C, H, W]; expected [H, W, C]: transpose(1, 2, 0) makes it so"
        )
    message = f"it has {count} channels, {channels} are asked for. {remedy}"
    raise ValueError(message)
