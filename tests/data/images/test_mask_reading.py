from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from visiontasks.data.images.mask_reading import check_mask, read_mask, read_palette
from visiontasks.errors import DataError, UnreadableFileError

VALUES = np.array([[0, 1, 2], [3, 255, 0]], np.uint8)


def test_indices_of_palettes_grey_16_bits_and_arrays(tmp_path: Path) -> None:
    palette = Image.fromarray(VALUES, "L").convert("P")
    palette.putdata(VALUES.flatten().tolist())
    palette.putpalette([200, 10, 30] * 256)  # all classes look the same
    palette.save(tmp_path / "palette.png")
    Image.fromarray(VALUES).save(tmp_path / "grey.png")
    Image.fromarray(VALUES.astype(np.uint16) * 200).save(tmp_path / "deep.png")
    Image.fromarray(VALUES > 0).save(tmp_path / "bits.png")
    with (tmp_path / "a.NPY").open("wb") as file:
        np.save(file, VALUES.astype(np.int64))
    assert np.array_equal(read_mask(tmp_path / "palette.png"), VALUES)
    assert np.array_equal(read_mask(tmp_path / "grey.png"), VALUES)
    assert np.array_equal(read_mask(tmp_path / "deep.png"), VALUES.astype(int) * 200)
    assert np.array_equal(read_mask(tmp_path / "bits.png"), VALUES > 0)
    assert np.array_equal(read_mask(tmp_path / "a.NPY"), VALUES)


def test_what_is_not_a_mask_is_named(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (1, 2, 2)).save(tmp_path / "colour.png")
    Image.new("CMYK", (4, 4)).save(tmp_path / "ink.tif", compression="jpeg")
    Image.new("L", (4, 4)).save(tmp_path / "lossy.jpg")
    (tmp_path / "empty.png").write_bytes(b"")
    np.save(tmp_path / "float.npy", np.full((2, 2), 0.5))
    for name, reason in {
        "colour.png": "it has 3 channels that differ, expected one channel of classes",
        "ink.tif": "JPEG changes the values",
        "lossy.jpg": "JPEG changes the values",
        "empty.png": "could not be read as a mask",
        "gone.png": "could not be read as a mask",
        "float.npy": r"float64 values of shape \[2, 2\]; expected whole numbers",
    }.items():
        with pytest.raises(DataError, match=f"{name}.*{reason}"):
            read_mask(tmp_path / name)
    with pytest.raises(DataError, match=r"colour\.png.*more than max_pixels=15"):
        read_mask(tmp_path / "colour.png", max_pixels=15)


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.uint16])
def test_ignored_pixels_become_255_and_other_values_are_an_error(kind: type) -> None:
    path = Path("a mask.png")
    values: np.ndarray = VALUES.astype(kind)
    assert np.array_equal(check_mask(values, path, (2, 3), 4, 255), VALUES)
    with pytest.raises(DataError, match=r"'a mask\.png': the mask has 1 pixels of value 3; expected 0 to 2"):
        check_mask(values, path, (2, 3), 3, 255)
    with pytest.raises(DataError, match=r"value 255; expected 0 to 2, or ignore_index 3"):
        check_mask(values, path, (2, 3), 3, 3)
    with pytest.raises(DataError, match=r"a mask\.png': the mask is 2 x 3 \(height x width\), its image 3 x 2"):
        check_mask(values, path, (3, 2), 4, 255)
    void: np.ndarray = np.where(VALUES == 255, 11, VALUES.astype(int)).astype(kind)
    assert np.array_equal(check_mask(void, path, (2, 3), 4, 11), VALUES)


def test_a_large_ignore_index_and_negative_values() -> None:
    deep = np.where(VALUES == 255, 65535, VALUES.astype(np.uint16))
    assert np.array_equal(check_mask(deep, Path("a.png"), (2, 3), 4, 65535), VALUES)
    signed = np.where(VALUES == 255, -1, VALUES.astype(np.int32))
    assert np.array_equal(check_mask(signed, Path("a.png"), (2, 3), 4, -1), VALUES)
    with pytest.raises(DataError, match="value -1; expected 0 to 3"):
        check_mask(signed, Path("a.png"), (2, 3), 4, 255)


def test_a_grey_palette_stands_for_its_greys_and_a_coloured_one_for_its_indices(tmp_path: Path) -> None:
    # As oxipng writes a grey mask: the greys in another order, as a palette of five entries.
    greys = np.array([1, 4, 3, 2, 0], np.uint8)
    indices = np.arange(20, dtype=np.uint8).reshape(4, 5) % 5
    image = Image.frombytes("P", (5, 4), indices.tobytes())
    image.putpalette(greys.repeat(3).tolist())
    image.save(tmp_path / "grey.png")
    assert np.array_equal(read_mask(tmp_path / "grey.png"), greys[indices])
    assert read_palette(tmp_path / "grey.png") is None
    colours = np.array([[0, 0, 0], [128, 0, 0], [1, 1, 1], [2, 2, 2], [3, 3, 3]], np.uint8)
    image.putpalette(colours.ravel().tolist())
    image.save(tmp_path / "colours.png")
    assert np.array_equal(read_mask(tmp_path / "colours.png"), indices)
    palette = read_palette(tmp_path / "colours.png")
    assert palette is not None
    assert np.array_equal(palette[:5], colours)
    assert read_palette(tmp_path / "gone.png") is None


@pytest.mark.parametrize("compression", [None, "group4", "tiff_lzw"])
def test_one_bit_where_0_is_white_is_read_as_stored(compression: str | None, tmp_path: Path) -> None:
    values = VALUES.repeat(4, 0) > 0
    if compression is None:
        tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    else:
        Image.fromarray(~values).save(tmp_path / "a.tif", compression=compression, tiffinfo={262: 0})
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages.first.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    assert np.array_equal(read_mask(tmp_path / "a.tif"), values)


def test_a_mask_of_several_pages_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 4, 5), np.uint8), photometric="minisblack")
    with pytest.raises(UnreadableFileError, match=r"a\.tif.*it has 3 pages; expected one"):
        read_mask(tmp_path / "a.tif")


def test_whole_numbers_in_floating_point_and_16_bits_with_an_orientation(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", VALUES.astype(np.float32))
    assert np.array_equal(read_mask(tmp_path / "a.tif"), VALUES)
    tifffile.imwrite(tmp_path / "b.tif", VALUES.astype(np.float32) + 0.5)
    with pytest.raises(UnreadableFileError, match=r"b\.tif.*float32 values of shape \[2, 3\]; expected whole numbers"):
        read_mask(tmp_path / "b.tif")
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(VALUES.astype(np.uint16) * 200).save(tmp_path / "c.png", exif=exif)
    assert np.array_equal(read_mask(tmp_path / "c.png"), VALUES[::-1, ::-1].astype(int) * 200)
