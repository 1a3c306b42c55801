import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from visiontasks.errors import ArgumentError
from visiontasks.visualization import check_picture_file, encode_picture, save_picture, to_pillow


def test_a_picture_is_written_in_the_format_of_its_name(tmp_path: Path) -> None:
    picture = torch.randint(256, (3, 8, 9), dtype=torch.uint8)
    for name, form in (("a.png", "PNG"), ("deep/b.JPG", "JPEG")):
        save_picture(picture, tmp_path / name)
        with Image.open(tmp_path / name) as written:
            assert written.format == form
            assert written.size == (9, 8)
    with Image.open(tmp_path / "a.png") as written:
        assert np.array_equal(np.array(written), picture.permute(1, 2, 0).numpy())


def test_a_name_of_another_kind_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"'samples' is not the name of a picture file; expected one that ends in"):
        check_picture_file(Path("samples"))
    with pytest.raises(ArgumentError):
        save_picture(torch.zeros(3, 2, 2, dtype=torch.uint8), tmp_path / "a.txt")
    assert not list(tmp_path.iterdir())


def test_quality_decides_on_the_size_of_a_jpeg() -> None:
    picture = to_pillow(torch.randint(256, (3, 64, 64), dtype=torch.uint8))
    low, high, usual = (len(encode_picture(picture, ".jpg", quality)) for quality in (10, 95, None))
    assert low < usual < high
    assert Image.open(io.BytesIO(encode_picture(picture, ".png"))).format == "PNG"
