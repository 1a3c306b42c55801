"""The header of an image is that of the decoded image, and an incomplete or unusual file is not plain."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from visiontasks.data.images.headers import Header, check_content, check_size, read_header, without_text

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
        ("PNG", "RGBA", {}, Header(20, 31, 4, 8, False)),
        ("PNG", "LA", {}, Header(20, 31, 2, 8, False)),
        ("PNG", "1", {}, Header(20, 31, 1, 1, False)),
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


def test_an_animation_is_not_plain() -> None:
    content = encode("PNG", save_all=True, append_images=[Image.fromarray(255 - PIXELS)], default_image=True)
    assert read_header(content) == Header(20, 31, 3, 8, False)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "the file is empty"), (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "git lfs pull")],
)
def test_files_that_hold_no_image_at_all_are_named(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_content(content)


def test_text_and_profile_are_dropped_and_nothing_else() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("a", "b")
    text.add_itxt("c", "d")
    noted = encode("PNG", pnginfo=text, icc_profile=b"profile", dpi=(72, 72))
    plain = encode("PNG", dpi=(72, 72))
    assert noted != plain
    assert without_text(noted) == without_text(plain) == plain
    assert without_text(b"GIF89a") == b"GIF89a"
