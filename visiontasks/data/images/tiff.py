"""Reading of TIFF files with any number of channels, stored as samples, planes or pages."""

import io
import math
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
import tifffile
from jaxtyping import UInt8
from PIL import Image

from visiontasks.data.images.headers import check_size

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and BigTIFF files."""

TRANSPOSED = frozenset({5, 6, 7, 8})
"""Orientations that swap rows and columns."""
ORIENTATION = 0x0112
"""Number of the tag, also in EXIF data."""
_WHITE = tifffile.PHOTOMETRIC.MINISWHITE
_ALPHA = (tifffile.EXTRASAMPLE.ASSOCALPHA, tifffile.EXTRASAMPLE.UNASSALPHA)
_LOSSY = frozenset({tifffile.COMPRESSION.OJPEG, tifffile.COMPRESSION.JPEG, tifffile.COMPRESSION.JPEG_LOSSY})


def is_read_as_stored(content: bytes, channels: int) -> bool:
    """Return whether a TIFF file has pages or channels that Pillow would drop or change.

    Args:
        content: The file.
        channels: Number of channels requested.
    """
    if channels not in (1, 3, 4):
        return True
    try:
        with _open(content) as file:
            page, pages = file.pages.first, _pages(file.series[0])
            bands = tifffile.EXTRASAMPLE.UNSPECIFIED in page.extrasamples
            grey = page.photometric in (tifffile.PHOTOMETRIC.MINISBLACK, _WHITE)
            premultiplied = tifffile.EXTRASAMPLE.ASSOCALPHA in page.extrasamples
            # Pillow makes int32 of deep greys and keeps the upper byte of deep colours.
            colours = 1 if grey else 3 if page.photometric == tifffile.PHOTOMETRIC.RGB else 0
            whole = not bands and page.samplesperpixel - len(page.extrasamples) == colours
            deep = page.bitspersample > 8 and whole
    except ValueError:  # Pillow reports what is wrong
        return False
    return pages > 1 or deep or (channels == 4 and (bands or premultiplied)) or (channels == 3 and bands and grey)


def read_tiff(content: bytes, channels: int, max_pixels: int) -> np.ndarray:
    """Read all channels of a TIFF file, which may be planes or pages, with its orientation applied.

    Args:
        content: The file.
        channels: Number of channels requested; pages are not interpreted as colours to be converted to grey.
        max_pixels: Maximum number of pixels of an image.

    Returns:
        Values as shown, the colours of a palette, and inverted where 0 is white. Shape [H, W] or [H, W, C].

    Raises:
        ValueError: If it is damaged, has more axes or pixels, has pages although one channel is requested, or is
            compressed in a way that needs a package which is not installed.
    """
    with _open(content) as file:
        pages, page = _pages(file.series[0]), file.pages.first
        if pages > 1 and channels == 1:
            message = f"it has {pages} pages, and 1 channel is asked for. Set in_channels to {pages}, or split the file"
            raise ValueError(message)
        values = _read(content, file, max_pixels)
        if page.extrasamples and page.extrasamples[-1] in _ALPHA and channels in (1, 3):
            values = values[:, :, :-1].squeeze(2) if page.samplesperpixel == 2 else values[:, :, :-1]
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
            colours: np.ndarray = page.colormap.T[values]
            return colours
        if page.photometric != _WHITE or values.dtype.kind == "f":
            return values
        return ~values if values.dtype == np.bool_ else np.iinfo(values.dtype).max - values


def read_stored(content: bytes, max_pixels: int) -> tuple[np.ndarray, UInt8[np.ndarray, "entries 3"] | None]:
    """Read the values of a TIFF file of one page exactly as they are stored, with its orientation applied.

    Args:
        content: The file.
        max_pixels: Maximum number of pixels of an image.

    Returns:
        Values as stored, also where 0 is white or values are indices of a palette, [H, W] or [H, W, C], and the
        palette, if there is one.

    Raises:
        ValueError: If it is damaged, has several pages or too many pixels, or is compressed with loss or in a way that
            needs a package which is not installed.
    """
    with _open(content) as file:
        page = file.pages.first
        if len(file.pages) > 1:
            message = f"it has {len(file.pages)} pages; expected one. Split the file"
            raise ValueError(message)
        if page.compression in _LOSSY:
            name = tifffile.COMPRESSION(page.compression).name
            message = f"{name} changes the values of pixels, which are classes here. Save masks as PNG"
            raise ValueError(message)
        palette = page.colormap if page.photometric == tifffile.PHOTOMETRIC.PALETTE else None
        colours = None if palette is None else (palette.T >> 8).astype(np.uint8)
        return _read(content, file, max_pixels), colours


def upright(pixels: np.ndarray, orientation: int | None) -> np.ndarray:
    """Turn and mirror an image, [H, W] or [H, W, C], from how it is stored to how it is to be shown.

    Args:
        pixels: The image as stored.
        orientation: Value of the EXIF tag, 1 to 8; others change nothing.
    """
    pixels = pixels.swapaxes(0, 1) if orientation in TRANSPOSED else pixels
    pixels = pixels[::-1] if orientation in (3, 4, 7, 8) else pixels
    pixels = pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels
    return np.ascontiguousarray(pixels)


def unturned(content: bytes) -> bytes:
    """Change the orientation of all pages of a TIFF file to the one in which nothing is turned or mirrored.

    Raises:
        ValueError: If it is damaged.
    """
    changed = bytearray(content)
    with _open(content) as file:
        for page in file.pages:
            tag = page.aspage().tags.get(ORIENTATION)
            if tag is not None:
                struct.pack_into(f"{file.byteorder}H", changed, tag.valueoffset, 1)
    return bytes(changed)


def tiff_size(file: str | Path, exif: bool = True) -> tuple[int, int]:
    """Read the height and width of a TIFF file as it is shown.

    Raises:
        ValueError: If it is damaged or has no rows and columns.
    """
    with _open(file) as opened:
        series = opened.series[0]
        height, width = (series.shape[series.axes.index(axis)] for axis in "YX")
        turned = exif and opened.pages.first.tags.valueof(ORIENTATION) in TRANSPOSED
    return (width, height) if turned else (height, width)


def _read(content: bytes, file: tifffile.TiffFile, max_pixels: int) -> np.ndarray:
    series = file.series[0]
    axes = series.axes
    if "Y" not in axes or "X" not in axes or len(axes) > 3:
        message = f"it is a TIFF file with the axes {axes} of {list(series.shape)}; expected rows, columns, channels"
        raise ValueError(message)
    check_size(series.shape[axes.index("Y")], series.shape[axes.index("X")], max_pixels)
    array = _decoded(content, series)
    # Channels may be separate planes or pages, whose axis comes first.
    by_rows = np.moveaxis(array, (axes.index("Y"), axes.index("X")), (0, 1))
    return upright(by_rows, file.pages.first.tags.valueof(ORIENTATION))


def _decoded(content: bytes, series: tifffile.TiffPageSeries) -> np.ndarray:
    """Decode by tifffile, or by Pillow or OpenCV, which know compressions that tifffile needs other packages for."""
    try:
        array: np.ndarray = series.asarray()
    except Exception as error:
        # tifffile names the package that it lacks, or fails to import it.
        if "imagecodecs" not in str(error) and not isinstance(error, ImportError):
            raise
        for decode in (_by_pillow, _by_opencv):
            with suppress(OSError, SyntaxError, ValueError, EOFError, cv2.error):
                array = decode(content, series).reshape(series.shape)
                if array.dtype == series.dtype:
                    return array
        page = series.keyframe
        name = tifffile.COMPRESSION(page.compression).name
        message = (
            f"it is compressed by {name} with {page.samplesperpixel} channels of {page.bitspersample} bits; it needs "
            "the package imagecodecs: pip install 'visiontasks[tiff]'"
        )
        raise ValueError(message) from error
    return array


def _by_opencv(content: bytes, series: tifffile.TiffPageSeries) -> np.ndarray:
    pages = cv2.imdecodemulti(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)[1]
    array = np.stack(pages[: _pages(series)])
    colours = series.keyframe.samplesperpixel
    return array[..., [2, 1, 0, 3][:colours]] if colours in (3, 4) else array


def _by_pillow(content: bytes, series: tifffile.TiffPageSeries) -> np.ndarray:
    page, pages = series.keyframe, []
    # Pillow applies the orientation.
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(unturned(content))) as image:
        for number in range(_pages(series)):
            image.seek(number)
            pages.append(np.array(image))
    array = np.stack(pages)
    if array.dtype not in (np.uint8, np.bool_) or page.photometric not in (_WHITE, tifffile.PHOTOMETRIC.MINISBLACK):
        return array
    # Pillow inverts grey values where 0 is white, and spreads those of fewer than 8 bits over 0 to 255.
    array = ~array if page.photometric == _WHITE else array
    return array // (255 // (2**page.bitspersample - 1)) if array.dtype == np.uint8 else array


@contextmanager
def _open(source: bytes | str | Path) -> Iterator[tifffile.TiffFile]:
    """Open a file; any error of a damaged file becomes a ValueError."""
    try:
        with tifffile.TiffFile(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
            yield file
    except (OSError, ValueError):
        raise
    except Exception as error:
        message = f"it is a damaged TIFF file: {error}"
        raise ValueError(message) from error


def _pages(series: tifffile.TiffPageSeries) -> int:
    return math.prod(length for axis, length in zip(series.axes, series.shape, strict=True) if axis not in "YXS")
