"""Reading of TIFF files with any number of channels, stored as samples, planes or pages."""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tifffile

from visiontasks.data.images.headers import check_size

TRANSPOSED = frozenset({5, 6, 7, 8})
"""Orientations that swap rows and columns."""
_ORIENTATION = 0x0112


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
            grey = page.photometric == tifffile.PHOTOMETRIC.MINISBLACK
            premultiplied = tifffile.EXTRASAMPLE.ASSOCALPHA in page.extrasamples
    except ValueError:  # Pillow reports what is wrong
        return False
    return pages > 1 or (channels == 4 and (bands or premultiplied)) or (channels == 3 and bands and grey)


def read_tiff(content: bytes, channels: int, max_pixels: int) -> np.ndarray:
    """Read all channels of a TIFF file, which may be planes or pages, with its orientation applied.

    Args:
        content: The file.
        channels: Number of channels requested; pages are not interpreted as colours to be converted to grey.
        max_pixels: Maximum number of pixels of an image.

    Returns:
        Values as stored, shape [H, W] or [H, W, C].

    Raises:
        ValueError: If it is damaged, has more axes or pixels, or has pages although one channel is requested.
    """
    with _open(content) as file:
        series, pages = file.series[0], _pages(file.series[0])
        axes = series.axes
        if "Y" not in axes or "X" not in axes or len(axes) > 3:
            message = (
                f"it is a TIFF file with the axes {axes} of {list(series.shape)}; expected rows, columns, channels"
            )
            raise ValueError(message)
        if pages > 1 and channels == 1:
            message = f"it has {pages} pages, and 1 channel is asked for. Set in_channels to {pages}, or split the file"
            raise ValueError(message)
        check_size(series.shape[axes.index("Y")], series.shape[axes.index("X")], max_pixels)
        array = series.asarray()
        orientation = file.pages.first.tags.valueof(_ORIENTATION)
    # Channels may be separate planes or pages, whose axis comes first.
    upright = np.moveaxis(array, (axes.index("Y"), axes.index("X")), (0, 1))
    upright = upright.swapaxes(0, 1) if orientation in TRANSPOSED else upright
    upright = upright[::-1] if orientation in (3, 4, 7, 8) else upright
    upright = upright[:, ::-1] if orientation in (2, 3, 6, 7) else upright
    return np.ascontiguousarray(upright)


@contextmanager
def _open(content: bytes) -> Iterator[tifffile.TiffFile]:
    """Open a file; any error of a damaged file becomes a ValueError."""
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            yield file
    except ValueError:
        raise
    except Exception as error:
        message = f"it is a damaged TIFF file: {error}"
        raise ValueError(message) from error


def _pages(series: tifffile.TiffPageSeries) -> int:
    return math.prod(length for axis, length in zip(series.axes, series.shape, strict=True) if axis not in "YXS")
