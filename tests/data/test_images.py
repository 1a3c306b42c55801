"""Reading of image files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from visiontasks.data.images import read_image
from visiontasks.errors import ArgumentError, DataError


def test_rgb_and_grey_are_pillows(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert torch.equal(read_image(tmp_path / "a.png"), torch.from_numpy(pixels).permute(2, 0, 1))
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    assert np.array_equal(read_image(tmp_path / "a.png", channels=1).numpy()[0], grey)


def test_size_is_height_and_width(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", size=(8, 12)).shape == (3, 8, 12)


def test_orientation_is_applied(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 2))
    picture.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    picture.save(tmp_path / "a.png", exif=exif)
    upright = read_image(tmp_path / "a.png")
    assert upright.shape == (3, 4, 2)
    assert upright[0, 0, 1] == 255


def test_16_bits_are_scaled(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", channels=1).tolist() == [[[0, 128, 255]]]


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_a_broken_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "broken é.png").write_bytes(content)
    with pytest.raises(DataError, match=r"broken é\.png"):
        read_image(tmp_path / "broken é.png")


def test_missing_file_and_other_channels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(ArgumentError, match="1 or 3 channels"):
        read_image(tmp_path / "gone.png", channels=4)
