"""Reading of image files; Pillow is the reference."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageOps, PngImagePlugin
from torch.utils.data import DataLoader, Dataset

from visiontasks.data.images.arrays import as_pixels, resize
from visiontasks.data.images.mask_reading import read_mask
from visiontasks.data.images.reading import read_image, read_orientation, read_pixels, read_size, read_values
from visiontasks.errors import DataError, UnreadableFileError


@pytest.fixture
def photo() -> np.ndarray:
    """Make a smooth picture, which JPEG keeps nearly as it is."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (80, 60), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "gif", "tiff", "ppm"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_files_are_read_as_pillow_reads_them(suffix: str, mode: str, photo: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / f"a b é.{suffix}"
    Image.fromarray(photo).convert(mode).save(path)
    with Image.open(path) as image:
        reference, reference_grey = np.asarray(image.convert("RGB")), np.asarray(image.convert("L"))
    np.testing.assert_allclose(read_pixels(path).astype(int), reference, atol=1)
    grey = read_pixels(path, 1)
    np.testing.assert_allclose(grey[:, :, 0].astype(int), reference_grey, atol=1)
    assert read_size(path) == photo.shape[:2]
    tensor = read_image(path)
    assert torch.equal(tensor.permute(1, 2, 0), torch.from_numpy(read_pixels(path)))
    assert tensor.is_contiguous(memory_format=torch.channels_last) or tensor.permute(1, 2, 0).is_contiguous()


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied(suffix: str, orientation: int, photo: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photo).save(path, exif=exif)
    reference = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    assert read_size(path) == reference.shape[:2] == ((60, 80) if orientation < 5 else (80, 60))
    np.testing.assert_allclose(read_pixels(path).astype(int), reference, atol=1)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "webp", "16.png"])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6])
def test_the_orientation_can_be_ignored(suffix: str, orientation: int, photo: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    if suffix == "16.png":
        cv2.imwrite(str(path), photo[:, :, ::-1].astype(np.uint16) * 257)
        ihdr, rest = path.read_bytes()[:33], path.read_bytes()[33:]
        data = exif.tobytes().removeprefix(b"Exif\0\0")
        chunk = struct.pack(">I", len(data)) + b"eXIf" + data + struct.pack(">I", zlib.crc32(b"eXIf" + data))
        path.write_bytes(ihdr + chunk + rest)
    else:
        Image.fromarray(photo).save(path, exif=exif)
    assert read_orientation(path) == orientation
    stored = read_pixels(path, exif=False)
    np.testing.assert_allclose(stored.astype(int), photo, atol=0 if suffix in ("png", "tiff", "16.png") else 60)
    assert read_size(path, exif=False) == (60, 80)
    turn: Any = {1: lambda x: x, 3: lambda x: x[::-1, ::-1], 5: lambda x: x.swapaxes(0, 1), 6: lambda x: np.rot90(x, 3)}
    np.testing.assert_allclose(read_pixels(path).astype(int), turn[orientation](stored), atol=1)


@pytest.mark.parametrize("suffix", ["png", "tiff", "npy"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_range_of_values_is_mapped_to_bytes(suffix: str, channels: int, tmp_path: Path) -> None:
    values = np.repeat(np.array([[0, 100, 1000, 4095, 60000]], np.uint16)[:, :, None], channels, 2)
    path = tmp_path / f"a.{suffix}"
    np.save(path, values) if suffix == "npy" else cv2.imwrite(str(path), values)
    assert np.array_equal(read_values(path).reshape(values.shape), values)
    expected = np.rint((values.astype(float) - 100).clip(0, 3995) * 255 / 3995)
    assert np.array_equal(read_pixels(path, channels, value_range=(100, 4095)), expected)
    assert np.array_equal(as_pixels(values, channels, (100, 4095)), expected)
    floats = np.array([[-2.5, 0.0, 2.5, np.nan, 9.0]])
    assert as_pixels(floats, 1, (-2.5, 2.5))[0, :, 0].tolist() == [0, 128, 255, 0, 255]


@pytest.mark.parametrize("kind", ["P", "P with transparency", "1", "LA", "RGBA", "YCbCr"])
def test_other_modes_become_rgb(kind: str, photo: np.ndarray, tmp_path: Path) -> None:
    image = Image.fromarray(photo).convert(kind.split()[0] if kind != "YCbCr" else "RGB")
    options: dict[str, Any] = {"transparency": bytes(range(256))} if "transparency" in kind else {}
    path = tmp_path / ("a.jpg" if kind == "YCbCr" else "a.png")
    image.save(path, **options)
    reference = np.asarray(Image.open(path).convert("RGBA").convert("RGB"))
    np.testing.assert_allclose(read_pixels(path).astype(int), reference, atol=1)


def test_cmyk_has_the_right_colours(tmp_path: Path) -> None:
    # Half cyan ink, no other: red is halved, green and blue are full.
    Image.new("CMYK", (16, 16), (128, 0, 0, 0)).save(tmp_path / "a.jpg", quality=95)
    assert b"Adobe" in (tmp_path / "a.jpg").read_bytes()
    np.testing.assert_allclose(read_pixels(tmp_path / "a.jpg").reshape(-1, 3), [[127, 255, 255]] * 256, atol=3)


@pytest.mark.parametrize("suffix", ["png", "tiff", "npy"])
def test_16_bits_are_scaled(suffix: str, tmp_path: Path) -> None:
    values = np.array([[0, 300, 32768, 65535]], dtype=np.uint16)
    path = tmp_path / f"a.{suffix}"
    np.save(path, values) if suffix == "npy" else Image.fromarray(values).save(path)
    assert read_image(path, channels=1).tolist() == [[[0, 1, 128, 255]]]
    cv2.imwrite(str(tmp_path / "rgb.png"), np.dstack([values, values[:, ::-1], values]))
    assert read_image(tmp_path / "rgb.png")[1].tolist() == [[255, 128, 1, 0]]


@pytest.mark.parametrize("kind", ["npy", "interleaved", "planes", "pages"])
@pytest.mark.parametrize("channels", [2, 5])
def test_any_number_of_channels(kind: str, channels: int, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, channels), dtype=np.uint8)
    path = tmp_path / ("a.NPY" if kind == "npy" else "a.tif")
    if kind == "npy":
        with path.open("wb") as file:
            np.save(file, pixels)
    elif kind == "interleaved":
        tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig="contig")
    else:
        planar = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        options: dict[str, Any] = {"planarconfig": "separate"} if kind == "planes" else {}
        tifffile.imwrite(path, planar, photometric="minisblack", **options)
    assert np.array_equal(read_pixels(path, channels), pixels)
    assert read_size(path) == (12, 20)
    if channels == 5:
        with pytest.raises(DataError, match=r"a\.\w+' .*has 5 channels, 3 are asked for"):
            read_pixels(path, 3)


def test_alpha_is_the_fourth_channel_when_asked_for(photo: np.ndarray, tmp_path: Path) -> None:
    pixels = np.dstack([photo, photo[:, :, :1]])
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read_pixels(tmp_path / "a.png", 4), pixels)
    assert np.array_equal(read_pixels(tmp_path / "a.png", 3), photo)


def test_floating_point_is_taken_for_0_to_1(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[0, 0.5, 1]], np.float32))
    assert read_image(tmp_path / "a.npy", 1).tolist() == [[[0, 128, 255]]]
    np.save(tmp_path / "b.npy", np.array([[0, 255.0]]))
    with pytest.raises(DataError, match=r"b\.npy.*run from 0\.0 to 255\.0; expected uint8, uint16, or"):
        read_image(tmp_path / "b.npy", 1)


def _png_header(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + bytes(8)


def test_a_pointer_of_git_lfs_says_what_to_do(tmp_path: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"
    (tmp_path / "a.png").write_text(text)
    for read in (read_pixels, read_mask):
        with pytest.raises(UnreadableFileError, match=r"a\.png.*git lfs pull"):
            read(tmp_path / "a.png")


def test_a_huge_image_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(_png_header(50_000, 50_000))
    with pytest.raises(UnreadableFileError, match=r"bomb\.png.*50000 x 50000 = 2,500,000,000 pixels"):
        read_pixels(tmp_path / "bomb.png")
    Image.new("RGB", (100, 100)).save(tmp_path / "a.bmp")
    with pytest.raises(UnreadableFileError, match=r"a\.bmp.*more than max_pixels=9,999"):
        read_pixels(tmp_path / "a.bmp", max_pixels=9_999)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\0" + bytes(9)])
@pytest.mark.parametrize("suffix", ["png", "npy"])
def test_a_broken_file_is_named(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"broken é.{suffix}"
    path.write_bytes(content)
    for read in (read_pixels, read_size):
        with pytest.raises(UnreadableFileError, match=r"broken é\."):
            read(path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.97])
def test_a_truncated_file_is_named(suffix: str, share: float, photo: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / f"half.{suffix}"
    Image.fromarray(photo).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableFileError, match=rf"half\.{suffix}"):
        read_pixels(path)


def test_a_jpeg_that_ends_in_zeros_is_truncated_and_one_with_a_tail_is_not(photo: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(photo).save(path)
    content, whole = path.read_bytes(), read_pixels(path)
    path.write_bytes(content + b"tail of a camera")
    assert np.array_equal(read_pixels(path), whole)
    path.write_bytes(content[: len(content) // 2] + bytes(len(content) // 2))
    with pytest.raises(UnreadableFileError, match=r"a\.jpg"):
        read_pixels(path)


def test_the_still_picture_of_an_animated_png_is_read(photo: np.ndarray, tmp_path: Path) -> None:
    still, frames = Image.fromarray(photo), [Image.fromarray(255 - photo), Image.fromarray(photo // 2)]
    still.save(tmp_path / "a.png", save_all=True, append_images=frames, default_image=True)
    assert b"acTL" in (tmp_path / "a.png").read_bytes()
    assert np.array_equal(read_pixels(tmp_path / "a.png"), photo)


@pytest.mark.parametrize("chunk", ["text", "profile"])
def test_a_png_file_with_much_text_or_a_large_profile_is_read(chunk: str, photo: np.ndarray, tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("notes", "a" * 5_000_000, zip=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    options: dict[str, Any] = {"pnginfo": text} if chunk == "text" else {"icc_profile": bytes(5_000_000)}
    Image.fromarray(photo).save(tmp_path / "a.png", exif=exif, **options)
    with pytest.raises(ValueError, match="too large"):
        Image.open(tmp_path / "a.png").load()
    assert np.array_equal(read_pixels(tmp_path / "a.png"), photo.swapaxes(0, 1)[:, ::-1])
    assert read_size(tmp_path / "a.png") == (80, 60)


def test_an_array_with_its_channels_first_is_recognized(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 40, 48), np.uint8))
    with pytest.raises(
        UnreadableFileError, match=r"has 48 channels, 3 are asked for\. Its shape \[3, 40, 48\] looks like"
    ):
        read_pixels(tmp_path / "a.npy")


def test_missing_file_and_wrong_channels(photo: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"gone\.png"):
        read_image(tmp_path / "gone.png")
    Image.fromarray(photo).save(tmp_path / "a.png")
    with pytest.raises(UnreadableFileError, match=r"a\.png.*has 3 channels, 4 are asked for.*in_channels"):
        read_image(tmp_path / "a.png", channels=4)


def test_resizing(photo: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(photo).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", size=(8, 12)).shape == (3, 8, 12)
    assert resize(photo, photo.shape[:2]) is photo
    np.testing.assert_allclose(resize(photo, (20, 20)), photo.reshape(20, 3, 20, 4, 3).mean((1, 3)), atol=0.51)
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(resize(mask, (6, 8), nearest=True), mask.repeat(2, 0).repeat(2, 1))
    assert resize(np.zeros((4, 4, 1), np.uint8), (2, 3)).shape == (2, 3, 1)
    assert resize(np.zeros((4, 4, 7), np.uint8), (2, 3)).shape == (2, 3, 7)


class Threads(Dataset[int]):
    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        read_pixels(self.path)
        cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (31, 31), 5)
        return int(cv2.getNumThreads())


def test_opencv_has_one_thread_in_workers_and_does_not_wait_for_those_of_the_parent(
    photo: np.ndarray, tmp_path: Path
) -> None:
    Image.fromarray(photo).save(tmp_path / "a.png")
    cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (31, 31), 5)  # starts the threads of this process
    loader = DataLoader(Threads(tmp_path / "a.png"), num_workers=2, timeout=60, multiprocessing_context="fork")
    assert [int(threads) for threads in loader] == [1, 1, 1, 1]


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32"])
def test_integers_of_other_sizes_are_refused(dtype: str, tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", np.full((4, 5, 3), 200, dtype))
    with pytest.raises(UnreadableFileError, match=rf"its {dtype} values run from 200 to 200; expected uint8, uint16"):
        read_pixels(tmp_path / "image.npy", 3)


@pytest.mark.parametrize("read", [read_size, lambda file: read_image(file, 3), read_orientation])
def test_warnings_of_pillow_are_not_passed_on(
    read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.webp"
    Image.new("RGB", (4, 4)).save(file)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow warns of more, and refuses twice as many
    with pytest.warns(Image.DecompressionBombWarning), Image.open(file):
        pass
    read(file)
