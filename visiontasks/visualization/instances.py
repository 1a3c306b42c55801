"""Masks of instances, drawn onto their images."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from visiontasks.visualization.captions import Color

_TINT = 0.45
"""Share of the colour of an instance in its pixels; its outline has the colour itself."""


def paint_instances(
    picture: Image.Image,
    masks: Iterable[tuple[Sequence[int], UInt8[np.ndarray, "rows columns"] | Bool[np.ndarray, "rows columns"]]],
    size: Sequence[int],
    colors: Sequence[Color],
) -> Image.Image:
    """Tint the pixels of masks, and draw their outlines; the last mask is on top.

    Args:
        picture: The picture, of any size.
        masks: Window of each mask, xyxy in pixels, and what belongs to it there; a window of zeros for no mask.
        size: Height and width of the image that the windows are of, which the picture shows.
        colors: RGB of each mask.

    Returns:
        Another picture.
    """
    pixels = np.array(picture)
    down, across = picture.height / size[0], picture.width / size[1]
    for (window, mask), color in zip(masks, colors, strict=True):
        if not mask.size:
            continue
        left, right = (min(picture.width - 1, int(side * across)) for side in (window[0], window[2]))
        top, bottom = (min(picture.height - 1, int(side * down)) for side in (window[1], window[3]))
        # The pixel of the mask at the centre of each pixel of the picture.
        rows = ((np.arange(top, bottom + 1) + 0.5) / down).astype(int) - window[1]
        columns = ((np.arange(left, right + 1) + 0.5) / across).astype(int) - window[0]
        padded = np.pad(mask != 0, 1)
        shown = padded[np.ix_(rows.clip(-1, mask.shape[0]) + 1, columns.clip(-1, mask.shape[1]) + 1)]
        part = pixels[top : bottom + 1, left : right + 1]
        part[shown] = ((1 - _TINT) * part[shown] + _TINT * np.array(color)).round()
        part[shown & ~_inner(shown)] = color
    return Image.fromarray(pixels)


def _inner(mask: Bool[np.ndarray, "rows columns"]) -> Bool[np.ndarray, "rows columns"]:
    """Return the pixels whose four neighbours are in a mask as well."""
    padded = np.pad(mask, 1)
    return padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
