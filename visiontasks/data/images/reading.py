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

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import get_worker_info

from visiontasks.data.images.headers import check_content, check_size, read_header, without_text
from visiontasks.data.images.tiff import ORIENTATION, SIGNATURES, TRANSPOSED, is_read_as_stored, read_tiff, tiff_size
from visiontasks.errors import UnreadableFileError

MAX_PIXELS = 178_956_970
"""Number of pixels above which Pillow, too, considers a file an attack: 512 MiB of RGB."""

Pixels = UInt8[np.ndarray, "height width channels"]

_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, cv2.error, Image.DecompressionBombError)


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


def read_pixels(path: str | Path, channels: int = 3, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Read an image as an array.

    Args:
        path: The file.
        channels: Number of channels: 1 for grey, 3 for RGB, or that of the file.
        max_pixels: Maximum number of pixels of an image; larger images are rejected before they are decoded.

    Returns:
        Pixels from 0 to 255, shape [H, W, C].

    Raises:
        UnreadableFileError: If the file is missing, damaged, too large or not an image, or has a different number of
            channels.
    """
    quiet_workers()
    try:
        return _with_channels(_decode(Path(path), channels, max_pixels), channels)
    except _DAMAGED as error:
        message = f"{str(path)!r} could not be read as an image: {error}"
        raise UnreadableFileError(message) from error


def as_pixels(array: np.ndarray, channels: int = 3) -> Pixels:
    """Convert an array to the format in which files are read.

    Args:
        array: Shape [H, W] or [H, W, C]; uint8, uint16, or floating point in 0 to 1.
        channels: Number of channels: 1 for grey, 3 for RGB, or that of the array.

    Returns:
        Pixels from 0 to 255, shape [H, W, C].

    Raises:
        UnreadableFileError: If its shape, values or number of channels are not as above.
    """
    if array.ndim not in (2, 3) or not array.size:
        message = f"An array of shape {list(array.shape)} is no image; expected [H, W] or [H, W, C]."
        raise UnreadableFileError(message)
    try:
        return _with_channels(_as_bytes(array), channels)
    except ValueError as error:
        message = f"An array is no image: {error}"
        raise UnreadableFileError(message) from error


def read_size(path: str | Path) -> tuple[int, int]:
    """Read the height and width of an image as displayed from the header of its file.

    Args:
        path: The file.

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
                return tiff_size(path)
        try:
            return _size(path)
        except ValueError:  # as Pillow says of a PNG file with much text
            return _size(io.BytesIO(without_text(Path(path).read_bytes())))
    except _DAMAGED as error:
        message = f"{str(path)!r} could not be read as an image: {error}"
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
            linearly, or averaged over areas if linear interpolation would skip pixels (to less than half the size).

    Returns:
        The array in its new size.
    """
    height, width = pixels.shape[:2]
    if (height, width) == size:
        return pixels
    shrinks = 2 * size[0] < height or 2 * size[1] < width
    method = cv2.INTER_NEAREST_EXACT if nearest else cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(pixels, (size[1], size[0]), interpolation=method).reshape(*size, *pixels.shape[2:])


def quiet_workers() -> None:
    """Limit OpenCV to one thread in workers: its threads do not survive a fork, and the fork waits for them."""
    if get_worker_info() is not None and cv2.getNumThreads() > 1:
        cv2.setNumThreads(0)


def _size(file: str | Path | io.BytesIO) -> tuple[int, int]:
    with warnings.catch_warnings(action="ignore"), Image.open(file) as image:
        turned = image.getexif().get(ORIENTATION) in TRANSPOSED
        return (image.width, image.height) if turned else (image.height, image.width)


def _decode(path: Path, channels: int, max_pixels: int) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if array.ndim not in (2, 3):
            message = f"it holds an array of shape {list(array.shape)}; expected [H, W] or [H, W, C]"
            raise ValueError(message)
        check_size(array.shape[0], array.shape[1], max_pixels)
        return _as_bytes(np.array(array))
    content = path.read_bytes()
    check_content(content)
    header = read_header(content)
    if header is not None:
        check_size(header.height, header.width, max_pixels)
        if header.plain:
            flag = cv2.IMREAD_COLOR_RGB if header.channels == 3 else cv2.IMREAD_GRAYSCALE
            decoded = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
            if decoded is not None:
                return decoded
    if content.startswith(SIGNATURES) and is_read_as_stored(content, channels):
        return _as_bytes(read_tiff(content, channels, max_pixels))
    try:
        return _decode_by_pillow(content, channels, max_pixels)
    except UnidentifiedImageError:
        if content.startswith(SIGNATURES):
            return _as_bytes(read_tiff(content, channels, max_pixels))
        message = "its format is not known, or its header is damaged"
        raise ValueError(message) from None


def _decode_by_pillow(content: bytes, channels: int, max_pixels: int) -> np.ndarray:
    # Pillow warns about large images, for which we have our own limit, and about damaged EXIF data, which is then
    # ignored.
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(without_text(content))) as opened:
        check_size(opened.height, opened.width, max_pixels)
        image = ImageOps.exif_transpose(opened)
        if image.mode in ("P", "PA", "RGBa"):
            image = image.convert("RGBA")
        if image.mode == "1" or (image.mode in ("LA", "La") and channels != 2):
            image = image.convert("L")
        elif image.mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX") or (image.mode == "RGBA" and channels != 4):
            image = image.convert("RGB")
        pixels = np.array(image)
        # For some formats, Pillow stores 16-bit values as 32-bit integers.
        sixteen = image.mode == "I" and pixels.min() >= 0 and pixels.max() <= 0xFFFF
        return _as_bytes(pixels.astype(np.uint16) if sixteen else pixels)


def _as_bytes(pixels: np.ndarray) -> np.ndarray:
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


def _with_channels(pixels: np.ndarray, channels: int) -> Pixels:
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    found = pixels.shape[2]
    if found == channels or channels == 0:
        return pixels
    if found == 3 and channels == 1:
        return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[:, :, None]
    if found == 1 and channels == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    remedy = f"Set in_channels to {found}, or convert the file"
    if pixels.shape[0] == channels:
        remedy = (
            f"Its shape {list(pixels.shape)} looks like [C, H, W]; expected [H, W, C]: transpose(1, 2, 0) makes it so"
        )
    message = f"it has {found} channels, {channels} are asked for. {remedy}"
    raise ValueError(message)
