"""Reading of image and mask files."""

from typing import TYPE_CHECKING

from visiontasks.lazy import lazy_names

if TYPE_CHECKING:
    from visiontasks.data.images.arrays import as_pixels as as_pixels
    from visiontasks.data.images.mask_reading import read_mask as read_mask
    from visiontasks.data.images.reading import read_image as read_image
    from visiontasks.data.images.reading import read_pixels as read_pixels
    from visiontasks.data.images.reading import read_size as read_size
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
