"""Reading of image and mask files."""

from visiontasks.data.images.arrays import as_pixels
from visiontasks.data.images.mask_reading import read_mask
from visiontasks.data.images.reading import read_image, read_pixels, read_size

__all__ = ["as_pixels", "read_image", "read_mask", "read_pixels", "read_size"]
