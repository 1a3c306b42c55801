"""Reading of image files with one policy for training and prediction.

- The EXIF orientation is applied: boxes and masks refer to the image as displayed.
- Palettes, CMYK (in JPEG files Adobe's inverted variant) and other colour spaces are converted to RGB; colour profiles
  are not applied. An alpha channel is dropped unless 4 channels are requested (or 2: grey and alpha).
- RGB is converted to grey with the weights of ITU-R BT.601, and grey to RGB by repetition.
- 16-bit values are reduced to their upper byte, whatever values occur; floating-point values are assumed to be in 0 to
  1. Integers of more bits are refused.
- Grey values where 0 is white, as in some TIFF files, are inverted.
- TIFF and ``.npy`` files ([H, W] or [H, W, C]) may have any number of channels. Pages of the same size are channels.
- Of an animation the first frame is read, of an animated PNG the still picture that other programs show.
"""

import io
import warnings
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import get_worker_info

from visiontasks.data.images.arrays import Pixels, as_bytes, resize, to_tensor, with_channels
from visiontasks.data.images.headers import check_content, check_size, read_header, without_text
from visiontasks.data.images.tiff import (
    ORIENTATION,
    SIGNATURES,
    TRANSPOSED,
    is_read_as_stored,
    read_tiff,
    tiff_size,
    unturned,
    upright,
)
from visiontasks.errors import UnreadableFileError
from visiontasks.options import MAX_PIXELS

_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, cv2.error, Image.DecompressionBombError)


class Reading(NamedTuple):
    """How the image files of a data set are read.

    Attributes:
        channels: Channels of the images: 1 for grey, 3 for RGB, or what the files hold.
        value_range: Values that become 0 and 255; None for the range of their type.
        exif: Whether the EXIF orientation is applied.
        max_pixels: Maximum number of pixels of an image.
    """

    channels: int = 3
    value_range: tuple[float, float] | None = None
    exif: bool = True
    max_pixels: int = MAX_PIXELS

    def pixels(self, source: str | Path | bytes | Image.Image) -> Pixels:
        """Read an image; see :func:`read_pixels`."""
        return read_pixels(source, self.channels, self.max_pixels, self.value_range, self.exif)


def read_image(
    path: str | Path, channels: int = 3, size: tuple[int, int] | None = None
) -> UInt8[Tensor, "channels height width"]:
    """Read an image as a tensor.

    Args:
        path: The file.
        channels: Number of channels: 1 for grey, 3 for RGB, or that of the file.
        size: Height and width in pixels to resize to; by default the image is not resized.

    Returns:
        Pixels from 0 to 255, shape [C, H, W], in channels-last memory.

    Raises:
        UnreadableFileError: If the file is missing, damaged, too large or not an image, or has a different number of
            channels.
    """
    pixels = read_pixels(path, channels)
    return to_tensor(pixels if size is None else resize(pixels, size))


def read_pixels(
    source: str | Path | bytes | Image.Image,
    channels: int = 3,
    max_pixels: int = MAX_PIXELS,
    value_range: tuple[float, float] | None = None,
    exif: bool = True,
) -> Pixels:
    """Read an image as an array.

    Args:
        source: The file, its content, or an image of Pillow.
        channels: Number of channels: 1 for grey, 3 for RGB, or that of the file.
        max_pixels: Maximum number of pixels of an image; larger images are rejected before they are decoded.
        value_range: Values that become 0 and 255; those between them are mapped linearly, others clipped. By default
            the range of the type of the values.
        exif: Whether the EXIF orientation is applied.

    Returns:
        Pixels from 0 to 255, shape [H, W, C].

    Raises:
        UnreadableFileError: If the file is missing, damaged, too large or not an image, or has a different number of
            channels.
    """
    quiet_workers()
    try:
        values = _decode(source, channels, max_pixels, exif)
        return with_channels(as_bytes(values, value_range), channels)
    except _DAMAGED as error:
        named = repr(str(source)) if isinstance(source, str | Path) else f"The {type(source).__name__}"
        message = f"{named} could not be read as an image: {error}"
        raise UnreadableFileError(message) from error


def read_values(path: str | Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read the values of an image as its file has them, before they are mapped to 0 to 255.

    Args:
        path: The file.
        max_pixels: Maximum number of pixels of an image.

    Returns:
        Shape [H, W] or [H, W, C]; truth values, integers or floating point.

    Raises:
        UnreadableFileError: If the file is missing, damaged, too large or not an image.
    """
    try:
        return _decode(path, 0, max_pixels)
    except _DAMAGED as error:
        message = f"{str(path)!r} could not be read as an image: {error}"
        raise UnreadableFileError(message) from error


def read_size(path: str | Path, exif: bool = True) -> tuple[int, int]:
    """Read the height and width of an image as displayed from the header of its file.

    Args:
        path: The file.
        exif: Whether the EXIF orientation is applied.

    Returns:
        Height and width in pixels.

    Raises:
        UnreadableFileError: If the file is missing, damaged or not an image.
    """
    try:
        if Path(path).suffix.lower() == ".npy":
            height, width = np.load(path, mmap_mode="r", allow_pickle=False).shape[:2]
            return height, width
        with Path(path).open("rb") as file:
            if file.read(4) in SIGNATURES:
                return tiff_size(path, exif)
        try:
            return _size(path, exif)
        except ValueError:  # as Pillow says of a PNG file with much text
            return _size(io.BytesIO(without_text(Path(path).read_bytes())), exif)
    except _DAMAGED as error:
        message = f"{str(path)!r} could not be read as an image: {error}"
        raise UnreadableFileError(message) from error


def read_orientation(path: str | Path) -> int:
    """Read the EXIF orientation of an image: 1 for one that is shown as it is stored; also for a damaged file.

    Args:
        path: The file.
    """
    try:
        return 1 if Path(path).suffix.lower() == ".npy" else _orientation(Path(path).read_bytes())
    except _DAMAGED:
        return 1


def quiet_workers() -> None:
    """Limit OpenCV to one thread in workers: its threads do not survive a fork, and the fork waits for them."""
    if get_worker_info() is not None and cv2.getNumThreads() > 1:
        cv2.setNumThreads(0)


def _size(file: str | Path | io.BytesIO, exif: bool) -> tuple[int, int]:
    with warnings.catch_warnings(action="ignore"), Image.open(file) as image:
        turned = exif and image.getexif().get(ORIENTATION) in TRANSPOSED
        return (image.width, image.height) if turned else (image.height, image.width)


def _orientation(content: bytes) -> int:
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(without_text(content))) as image:
        return int(image.getexif().get(ORIENTATION, 1))


def _decode(source: str | Path | bytes | Image.Image, channels: int, max_pixels: int, exif: bool = True) -> np.ndarray:
    if isinstance(source, Image.Image):
        with warnings.catch_warnings(action="ignore"):  # as below
            return _values_of(source, channels, max_pixels, exif)
    if not isinstance(source, bytes) and Path(source).suffix.lower() == ".npy":
        array = np.load(source, mmap_mode="r", allow_pickle=False)
        if array.ndim not in (2, 3):
            message = f"it holds an array of shape {list(array.shape)}; expected [H, W] or [H, W, C]"
            raise ValueError(message)
        check_size(array.shape[0], array.shape[1], max_pixels)
        return np.array(array)
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    check_content(content)
    header = read_header(content)
    if header is not None:
        check_size(header.height, header.width, max_pixels)
        if header.plain:
            flag = cv2.IMREAD_COLOR_RGB if header.channels == 3 else cv2.IMREAD_GRAYSCALE
            flag |= 0 if exif else cv2.IMREAD_IGNORE_ORIENTATION
            decoded = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
            if decoded is not None:
                return decoded
        if header.bits == 16 and header.channels in (3, 4):  # Pillow keeps the upper byte
            deep = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
            if deep is not None:
                colours = deep[:, :, [2, 1, 0, 3][: header.channels if channels in (0, 4) else 3]]
                return upright(colours, _orientation(content)) if exif else colours
    if content.startswith(SIGNATURES) and not exif:
        content = unturned(content)
    if content.startswith(SIGNATURES) and is_read_as_stored(content, channels):
        return read_tiff(content, channels, max_pixels)
    try:
        return _decode_by_pillow(content, channels, max_pixels, exif)
    except UnidentifiedImageError:
        if content.startswith(SIGNATURES):
            return read_tiff(content, channels, max_pixels)
        message = "its format is not known, or its header is damaged"
        raise ValueError(message) from None


def _decode_by_pillow(content: bytes, channels: int, max_pixels: int, exif: bool) -> np.ndarray:
    # Pillow warns about large images, for which we have our own limit, and about damaged EXIF data, which is then
    # ignored.
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(without_text(content))) as opened:
        return _values_of(opened, channels, max_pixels, exif)


def _values_of(opened: Image.Image, channels: int, max_pixels: int, exif: bool) -> np.ndarray:
    check_size(opened.height, opened.width, max_pixels)
    image = ImageOps.exif_transpose(opened) if exif else opened
    if image.mode in ("P", "PA", "RGBa"):
        image = image.convert("RGBA")
    if image.mode == "1" or (image.mode in ("LA", "La") and channels != 2):
        image = image.convert("L")
    elif image.mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX") or (image.mode == "RGBA" and channels != 4):
        image = image.convert("RGB")
    pixels = np.array(image)
    # For some formats, Pillow stores 16-bit values as 32-bit integers.
    sixteen = image.mode == "I" and pixels.min() >= 0 and pixels.max() <= 0xFFFF
    return pixels.astype(np.uint16) if sixteen else pixels
