"""Reading of image files."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

from visiontasks.errors import ArgumentError, DataError

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def read_image(
    path: str | Path, channels: int = 3, size: tuple[int, int] | None = None
) -> UInt8[Tensor, "channels height width"]:
    """Read an image, upright as its EXIF orientation says.

    Args:
        path: The file.
        channels: 1 for grey, 3 for RGB; other modes are converted, 16 bits scaled to 8.
        size: Height and width in pixels to resize to (bilinear, antialiased); as it is by default.

    Returns:
        Pixels in 0 to 255, shape [channels, H, W].

    Raises:
        ArgumentError: If the number of channels is not 1 or 3.
        DataError: If the file is missing, damaged, too large or no image.
    """
    if channels not in (1, 3):
        message = f"Image files are read with 1 or 3 channels; the model wants {channels}."
        raise ArgumentError(message)
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I;16"):
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            image = image.convert("L" if channels == 1 else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        message = f"{str(path)!r} could not be read as an image: {error}"
        raise DataError(message) from error
    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1)
