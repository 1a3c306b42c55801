"""TIFF files of channels, planes and pages, as images are read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from visiontasks.data.images.reading import read_pixels, read_size
from visiontasks.errors import UnreadableFileError

TIFFS: dict[str, tuple[tuple[int, ...], dict[str, Any], dict[int, str]]] = {
    "pages": ((3, 12, 20), {"photometric": "minisblack"}, {3: "", 1: "it has 3 pages, and 1 channel is asked for"}),
    "four pages": ((4, 12, 20), {"photometric": "minisblack"}, {4: "", 3: "it has 4 channels, 3 are asked for"}),
    "one page": ((1, 12, 20), {"photometric": "minisblack"}, {1: "", 4: "it has 1 channels, 4 are asked for"}),
    "two bands": ((12, 20, 2), {"photometric": "minisblack", "planarconfig": "contig"}, {2: "", 3: "has 2 channels"}),
    "infrared": ((12, 20, 4), {"photometric": "rgb", "extrasamples": ["unspecified"]}, {4: ""}),
    "premultiplied": ((12, 20, 4), {"photometric": "rgb", "extrasamples": ["assocalpha"]}, {4: ""}),
    "alpha": ((12, 20, 4), {"photometric": "rgb", "extrasamples": ["unassalpha"]}, {4: ""}),
    "ink": ((12, 20, 4), {"photometric": "separated"}, {4: "it has 3 channels, 4 are asked for"}),
    "pages of colours": ((3, 12, 20, 3), {"photometric": "rgb"}, {3: r"the axes QYXS of \[3, 12, 20, 3\]"}),
}


@pytest.mark.parametrize("kind", TIFFS)
def test_tiff_files_are_read_as_they_are_stored_or_refused(kind: str, tmp_path: Path) -> None:
    shape, options, reads = TIFFS[kind]
    stored = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stored, **options)
    for channels, message in reads.items():
        if message:
            with pytest.raises(UnreadableFileError, match=rf"a\.tif.*{message}"):
                read_pixels(tmp_path / "a.tif", channels)
        else:
            expected = stored.transpose(1, 2, 0) if shape[1:] == (12, 20) else stored
            assert np.array_equal(read_pixels(tmp_path / "a.tif", channels), expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_tiff_file_with_wrong_tags_is_named(channels: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((12, 20, 4), np.uint8), photometric="rgb", compression="zlib")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        offset = file.pages.first.tags["RowsPerStrip"].valueoffset
    content[offset : offset + 4] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=r"a\.tif"):
        read_pixels(path, channels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_channels_of_a_tiff_file_are_turned_as_colours_are(orientation: int, tmp_path: Path) -> None:
    path, photo = tmp_path / "a.tif", np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    tag = [(0x0112, 3, 1, orientation, True)]
    tifffile.imwrite(path, photo.transpose(2, 0, 1), photometric="minisblack", extratags=tag)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photo).save(tmp_path / "b.tif", exif=exif)
    assert np.array_equal(read_pixels(path), read_pixels(tmp_path / "b.tif"))


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pages_are_read_whatever_their_compression(dtype: type, orientation: int, tmp_path: Path) -> None:
    stored: np.ndarray = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (5, 12, 20)).astype(dtype)
    pages = [Image.fromarray(page) for page in stored]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"save_all": True, "append_images": pages[1:], "exif": exif}
    pages[0].save(tmp_path / "a.tif", compression="tiff_lzw", **options)
    pages[0].save(tmp_path / "b.tif", compression=None, **options)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].aspage().compression == tifffile.COMPRESSION.LZW
    expected = np.ascontiguousarray(np.rot90(stored, {1: 0, 3: 2, 6: 3}[orientation], (1, 2)).transpose(1, 2, 0))
    for name in ("a.tif", "b.tif"):
        pixels = read_pixels(tmp_path / name, 5)
        assert np.array_equal(pixels, expected if dtype == np.uint8 else expected >> 8)
        assert read_size(tmp_path / name) == pixels.shape[:2]


def test_what_needs_another_package_says_so(tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 4), np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig="contig", compression="zlib")
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].aspage().tags["Compression"].valueoffset
    content = bytearray(path.read_bytes())
    content[offset : offset + 2] = int(tifffile.COMPRESSION.LERC).to_bytes(2, "little")
    path.write_bytes(content)
    with pytest.raises(
        UnreadableFileError, match=r"by LERC with 4 channels of 8 bits; it needs.*pip install 'visiontasks\[tiff\]'"
    ):
        read_pixels(path, 4)


def test_a_palette_of_16_bits_shows_its_colours(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 65536, (3, 65536), dtype=np.uint16)
    indices = np.array([[0, 5000], [65535, 7]], np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=colours)
    assert np.array_equal(read_pixels(tmp_path / "a.tif"), colours.T[indices] >> 8)
