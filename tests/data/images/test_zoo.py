"""Files as Pillow, OpenCV and tifffile write them: what was written is the reference, and so are their own readers."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.data.images.zoo import Specimen, write_zoo
from visiontasks.data.images import read_mask, read_pixels, read_size
from visiontasks.errors import UnreadableFileError

REFUSED = ("uint32", "int64", "int32", "float16", "float32", "float64")
"""Types that images do not have, or whose values are not in 0 to 1 here."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Specimen]:
    return list(write_zoo(tmp_path_factory.mktemp("images"), 256))


def differences(zoo: list[Specimen], differs: Callable[[Specimen], bool]) -> list[str]:
    assert len(zoo) > 500
    return [specimen.path.name for specimen in zoo if differs(specimen)]


def shown(specimen: Specimen) -> np.ndarray:
    """Compute the RGB that a file shows from what was written."""
    values = specimen.values if specimen.values.ndim == 3 else specimen.values[:, :, None]
    if specimen.mode == "P":
        return np.concatenate([255 - values, values, np.full_like(values, 7)], 2)
    if specimen.mode == "palette":
        colours = (np.concatenate([np.iinfo(values.dtype).max - values, values, values * 0], 2)).astype(np.uint16)
        return (colours if values.dtype == np.uint8 else colours >> 8).astype(np.uint8)
    if specimen.mode == "miniswhite":
        values = ~values if values.dtype == np.bool_ else np.iinfo(values.dtype).max - values
    if values.dtype == np.bool_:
        values = values * np.uint8(255)
    if values.dtype.itemsize == 2:
        values = (values >> 8).astype(np.uint8)
    values = values[:, :, :1] if values.shape[2] == 2 else values[:, :, :3]
    return np.repeat(values, 3, 2) if values.shape[2] == 1 else values


def test_images_show_what_was_written(images: list[Specimen]) -> None:
    def differs(specimen: Specimen) -> bool:
        if str(specimen.values.dtype) in REFUSED:
            with pytest.raises(UnreadableFileError, match=r"expected uint8, uint16, or floating point in 0 to 1"):
                read_pixels(specimen.path)
            return False
        # Pillow rounds the 16 bits of these formats.
        tolerance = int(specimen.path.suffix in (".ppm", ".pnm", ".jp2"))
        pixels = read_pixels(specimen.path)
        return pixels.dtype != np.uint8 or bool((abs(pixels.astype(int) - shown(specimen)) > tolerance).any())

    assert differences(images, differs) == []
    assert differences(images, lambda specimen: read_size(specimen.path) != specimen.values.shape[:2]) == []


def test_images_are_read_as_by_pillow(images: list[Specimen]) -> None:
    compared = 0

    def differs(specimen: Specimen) -> bool:
        nonlocal compared
        try:
            with Image.open(specimen.path) as image:
                if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
                    return False
                expected = np.asarray(image.convert("RGBA").convert("RGB"))
        except OSError:
            return False
        compared += 1
        return not np.array_equal(read_pixels(specimen.path), expected)

    with warnings.catch_warnings(action="ignore"):
        assert differences(images, differs) == []
    assert compared > 150


def test_masks_hold_what_was_written(tmp_path: Path) -> None:
    def differs(specimen: Specimen) -> bool:
        values = specimen.values if specimen.values.ndim == 2 else specimen.values[:, :, 0]
        return not np.array_equal(read_mask(specimen.path), values)

    # A GIF file has no bits: Pillow writes truth values as the greys 0 and 255.
    assert differences(list(write_zoo(tmp_path)), differs) == ["pillow-1.gif"]


def test_masks_are_read_as_by_tifffile(tmp_path: Path) -> None:
    compared = 0

    def differs(specimen: Specimen) -> bool:
        nonlocal compared
        try:
            expected = tifffile.imread(specimen.path)
        except (ValueError, ImportError):  # not a TIFF file, or compressed as it does not know
            return False
        compared += 1
        return not np.array_equal(read_mask(specimen.path), expected if expected.ndim == 2 else expected[:, :, 0])

    assert differences(list(write_zoo(tmp_path)), differs) == []
    assert compared > 350
