"""Reading of the mask files of segmentation."""

import io
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image, ImageOps

from visiontasks.data.images.headers import check_size, read_header
from visiontasks.data.images.reading import MAX_PIXELS
from visiontasks.errors import DataError, UnreadableFileError
from visiontasks.types import IGNORED


def read_mask(path: str | Path, max_pixels: int = MAX_PIXELS) -> Integer[np.ndarray, "height width"]:
    """Read a mask: the class of each pixel, with the EXIF orientation of the file applied.

    The pixels of a palette image are its indices, whatever colours they denote. 16-bit values are integers.

    Args:
        path: The file: a losslessly compressed image with one channel, or a ``.npy`` file of integers, [H, W].
        max_pixels: Maximum number of pixels of a mask.

    Returns:
        Values as stored, shape [H, W].

    Raises:
        UnreadableFileError: If the file is missing, damaged, too large, in colour, or compressed with loss.
    """
    try:
        values = _read(Path(path), max_pixels)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, Image.DecompressionBombError) as error:
        message = f"{str(path)!r} could not be read as a mask: {error}"
        raise UnreadableFileError(message) from error
    if values.dtype.kind not in "iu" or values.ndim != 2:
        message = (
            f"{str(path)!r} holds {values.dtype} values of shape {list(values.shape)}; expected whole numbers, [H, W]: "
            "the class of each pixel."
        )
        raise UnreadableFileError(message)
    return values


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
        found = np.unique(values[wrong])
        more = ", ..." if len(found) > 5 else ""
        message = (
            f"{str(path)!r}: the mask has {np.count_nonzero(wrong)} pixels of value "
            f"{', '.join(str(value) for value in found[:5])}{more}; expected 0 to {classes - 1}, or ignore_index "
            f"{ignore_index}. Correct the mask, the class names or ignore_index."
        )
        raise DataError(message)
    return mask


def _read(path: Path, max_pixels: int) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        stored: np.ndarray = np.load(path, allow_pickle=False)
        return stored
    content = path.read_bytes()
    header = read_header(content)
    if header is not None:
        check_size(header.height, header.width, max_pixels)
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as opened:
        check_size(opened.height, opened.width, max_pixels)
        if opened.format == "JPEG":
            message = "JPEG changes the values of pixels, which are classes here. Save masks as PNG"
            raise ValueError(message)
        if opened.mode not in ("1", "L", "P", "I", "I;16", "I;16B", "I;16L"):
            message = (
                f"its mode is {opened.mode}, expected one channel of classes. Map its colours to classes, and save "
                "those as a grey or palette PNG"
            )
            raise ValueError(message)
        values = np.array(ImageOps.exif_transpose(opened))
    return values.astype(np.uint8) if values.dtype == np.bool_ else values
