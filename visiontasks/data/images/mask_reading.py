"""Reading of the mask files of segmentation."""

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image, ImageOps

from visiontasks.data.images.headers import check_content, check_size, read_header, without_text
from visiontasks.data.images.tiff import ORIENTATION, SIGNATURES, read_stored, upright
from visiontasks.errors import DataError, UnreadableFileError
from visiontasks.options import MAX_PIXELS
from visiontasks.types import IGNORED

_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, Image.DecompressionBombError)


def read_mask(path: str | Path, max_pixels: int = MAX_PIXELS) -> Integer[np.ndarray, "height width"]:
    """Read a mask: the class of each pixel, with the EXIF orientation of the file applied.

    Values are those that are stored: grey of fewer than 8 bits is not spread over 0 to 255, and nothing is inverted.
    The pixels of a palette image are its indices, unless all of the palette is grey: then they are the greys, since
    tools that make files smaller turn grey images into such palettes. Alpha is dropped; of colours, those with equal
    channels are greys. Floating-point values must be whole numbers.

    Args:
        path: The file: a losslessly compressed image, or a ``.npy`` file, [H, W] or [H, W, 1].
        max_pixels: Maximum number of pixels of a mask.

    Returns:
        Values as stored, shape [H, W].

    Raises:
        UnreadableFileError: If the file is missing, damaged, too large, in colour, has several pages or values that are
            not whole numbers, or is compressed with loss.
    """
    try:
        values, palette = _read(Path(path), max_pixels)
        if palette is not None and _is_grey(palette) and values.max(initial=0) < len(palette):
            values = palette[values, 0]
        return _whole(_one_channel(values))
    except _DAMAGED as error:
        message = f"{str(path)!r} could not be read as a mask: {error}"
        raise UnreadableFileError(message) from error


def read_colours(path: str | Path, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "height width 3"]:
    """Read the colours of a mask whose classes are colours, with the EXIF orientation of the file applied.

    Args:
        path: The file: a losslessly compressed image in RGB, grey or with a palette; alpha is dropped.
        max_pixels: Maximum number of pixels of a mask.

    Raises:
        UnreadableFileError: If the file is missing, damaged, too large, has other values, or is compressed with loss.
    """
    try:
        values, palette = _read(Path(path), max_pixels)
        if palette is not None:
            shown: UInt8[np.ndarray, "height width 3"] = palette[values]
            return shown
        values = values[:, :, None] if values.ndim == 2 else values
        colours = values[:, :, : {2: 1, 4: 3}.get(values.shape[2], values.shape[2])]
        if colours.dtype != np.uint8 or colours.shape[2] not in (1, 3):
            message = f"it holds {values.dtype} values of shape {list(values.shape)}; expected colours of 8 bits"
            raise ValueError(message)
        return np.ascontiguousarray(np.broadcast_to(colours, (*colours.shape[:2], 3)))
    except _DAMAGED as error:
        message = f"{str(path)!r} could not be read as a mask: {error}"
        raise UnreadableFileError(message) from error


def read_palette(path: str | Path) -> UInt8[np.ndarray, "entries 3"] | None:
    """Read the colours that the values of a mask stand for.

    Args:
        path: The file.

    Returns:
        RGB of each value; None if the file is damaged or has no palette of colours, so that its values are greys.
    """
    try:
        palette = _read(Path(path), MAX_PIXELS)[1]
    except _DAMAGED:
        return None
    return None if palette is None or _is_grey(palette) else palette


def check_mask(
    values: Integer[np.ndarray, "height width"], path: Path, size: tuple[int, int], classes: int, ignore_index: int
) -> UInt8[np.ndarray, "height width"]:
    """Check a mask against its image and the classes, and set ignored pixels to 255.

    Args:
        values: Class of each pixel.
        path: File of mask or image, for messages.
        size: Height and width of the image.
        classes: Number of classes, including the background if it is one; at most 255.
        ignore_index: Value of ignored pixels.

    Returns:
        The mask, shape [H, W].

    Raises:
        DataError: If the size differs or a value is not a class.
    """
    if values.shape != size:
        message = (
            f"{str(path)!r}: the mask is {values.shape[0]} x {values.shape[1]} (height x width), its image "
            f"{size[0]} x {size[1]}; expected the same. One of them belongs to another image or was resized."
        )
        raise DataError(message)
    if values.dtype == np.uint8 and ignore_index == IGNORED:
        wrong = (values >= classes) & (values != IGNORED)
        mask = values
    else:
        ignored = values == ignore_index
        wrong = ((values < 0) | (values >= classes)) & ~ignored
        mask = np.where(ignored, IGNORED, values).astype(np.uint8)
    if wrong.any():
        outside = np.unique(values[wrong])
        more = ", ..." if len(outside) > 5 else ""
        message = (
            f"{str(path)!r}: the mask has {np.count_nonzero(wrong)} pixels of value "
            f"{', '.join(str(value) for value in outside[:5])}{more}; expected 0 to {classes - 1}, or ignore_index "
            f"{ignore_index}. Correct the mask, the class names or ignore_index."
        )
        raise DataError(message)
    return mask


def _read(path: Path, max_pixels: int) -> tuple[np.ndarray, UInt8[np.ndarray, "entries 3"] | None]:
    """Read values as stored, and the palette that they are indices of, if there is one."""
    if path.suffix.lower() == ".npy":
        return np.load(path, allow_pickle=False), None
    content = path.read_bytes()
    check_content(content)
    header = read_header(content)
    if header is not None:
        check_size(header.height, header.width, max_pixels)
    if content.startswith(SIGNATURES):
        return read_stored(content, max_pixels)
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(without_text(content))) as opened:
        check_size(opened.height, opened.width, max_pixels)
        if opened.format == "JPEG":
            message = "JPEG changes the values of pixels, which are classes here. Save masks as PNG"
            raise ValueError(message)
        if opened.mode not in ("1", "L", "LA", "P", "PA", "I", "I;16", "I;16B", "I;16L", "F", "RGB", "RGBA"):
            message = f"its mode is {opened.mode}, expected one channel of classes. Save them as a grey or palette PNG"
            raise ValueError(message)
        sixteen = header is not None and header.bits == 16
        if sixteen or (opened.mode == "RGB" and opened.format in ("PPM", "JPEG2000")):  # Pillow keeps the upper byte
            deep = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
            if deep is None:
                message = "it is damaged"
                raise ValueError(message)
            return upright(deep, opened.getexif().get(ORIENTATION)), None
        image = ImageOps.exif_transpose(opened)
        values = np.array(image)
        if image.mode == "P":
            return values, np.array(image.getpalette(), np.uint8).reshape(-1, 3)
    if header is not None and header.channels == 1 and header.bits < 8 and values.dtype == np.uint8:
        values = values // (255 // (2**header.bits - 1))  # Pillow spreads them over 0 to 255
    return values, None


def _is_grey(palette: UInt8[np.ndarray, "entries 3"]) -> bool:
    return bool((palette == palette[:, :1]).all())


def _one_channel(values: np.ndarray) -> np.ndarray:
    """Reduce grey with alpha, and colours whose channels are equal, to one channel.

    Raises:
        ValueError: If the channels differ.
    """
    if values.ndim != 3:
        return values
    colours = values[:, :, : {2: 1, 4: 3}.get(values.shape[2], values.shape[2])]
    if colours.shape[2] in (1, 3) and (colours == colours[:, :, :1]).all():
        return colours[:, :, 0]
    message = (
        f"it has {values.shape[2]} channels that differ, expected one channel of classes. Map its colours to classes, "
        "and save those as a grey or palette PNG"
    )
    raise ValueError(message)


def _whole(values: np.ndarray) -> np.ndarray:
    """Check that values are the classes of pixels, [H, W], and make truth values and floating point whole numbers."""
    if values.dtype == np.bool_:
        values = values.astype(np.uint8)
    elif values.dtype.kind == "f" and np.isfinite(values).all() and (values == np.rint(values)).all():
        values = values.astype(np.int64)
    if values.dtype.kind not in "iu" or values.ndim != 2:
        message = (
            f"it holds {values.dtype} values of shape {list(values.shape)}; expected whole numbers, [H, W]: the class "
            "of each pixel"
        )
        raise ValueError(message)
    # In the byte order and with the name of the type that this machine has.
    return values if values.dtype == np.uint8 else values.astype(f"{values.dtype.kind}{values.itemsize}")
