"""The header of an image is that of the decoded image, and an incomplete or unusual file is not plain."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visiontasks.data.images.headers import Header, check_size, read_header

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 31, 3), dtype=np.uint8)


def encode(kind: str, mode: str = "RGB", **options: Any) -> bytes:  # noqa: ANN401 - what Pillow takes
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode", "options", "expected"),
    [
        ("JPEG", "RGB", {}, Header(20, 31, 3, 8, True)),
        ("JPEG", "L", {"progressive": True}, Header(20, 31, 1, 8, True)),
        ("JPEG", "CMYK", {}, Header(20, 31, 4, 8, False)),
        ("PNG", "RGB", {}, Header(20, 31, 3, 8, True)),
        ("PNG", "L", {}, Header(20, 31, 1, 8, True)),
        ("PNG", "P", {}, Header(20, 31, 0, 8, False)),
        ("PNG", "I;16", {}, Header(20, 31, 1, 16, False)),
    ],
)
def test_size_channels_and_what_is_plain(kind: str, mode: str, options: dict[str, Any], expected: Header) -> None:
    assert read_header(encode(kind, mode, **options)) == expected


def test_an_incomplete_jpeg_is_not_plain_and_one_without_pixels_has_no_header() -> None:
    content = encode("JPEG")
    header = read_header(content[:-20])
    assert header is not None
    assert not header.plain
    assert read_header(content[:100]) is None
    assert read_header(encode("BMP")) is None
    assert read_header(b"") is None


def test_a_size_up_to_the_limit_is_allowed() -> None:
    check_size(20, 31, 620)
    with pytest.raises(ValueError, match="20 x 31 = 620 pixels, more than max_pixels=619"):
        check_size(20, 31, 619)
