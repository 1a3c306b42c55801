"""Images in every form that people hold them in, each read as its file is."""

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.prediction.small_tasks import TASKS, write_pictures
from visiontasks.data.images.reading import Reading, read_image
from visiontasks.errors import ArgumentError, UnreadableFileError
from visiontasks.prediction import predict_images
from visiontasks.prediction.images import each_image, read_source

BROKEN = {"half.jpg", "text.jpg"}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_pictures(tmp_path / "pictures")


def used(stream: Any) -> Any:  # noqa: ANN401 - of any kind
    """Leave a stream where a writer leaves it: at its end."""
    stream.seek(0, io.SEEK_END)
    return stream


class Streamed(io.BytesIO):
    """What comes over a network: it cannot go back."""

    def seekable(self) -> bool:
        return False

    def seek(self, offset: int, whence: int = 0, /) -> int:
        raise io.UnsupportedOperation


class Slow(io.BytesIO):
    """Takes so long to be read that other threads come in between, if they may."""

    def read(self, size: int | None = -1, /) -> bytes:
        time.sleep(0.01)
        return super().read(size)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_in_memory_is_read_as_its_file(files: list[Path], channels: int) -> None:
    reading = Reading(channels)
    for file in files:
        content = file.read_bytes()
        forms = [content, bytearray(content), memoryview(content), used(io.BytesIO(content)), Streamed(content)]
        if file.name in BROKEN:
            for form in forms:
                with pytest.raises(UnreadableFileError, match="bytes could not be read as an image"):
                    read_source(form, reading)
            continue
        expected = reading.pixels(file)
        with file.open("rb") as opened, Image.open(file) as lazy, Image.open(file) as loaded:
            loaded.load()
            for form in [str(file), *forms, used(opened), lazy, loaded]:
                assert np.array_equal(read_source(form, reading), expected), (file.name, type(form))


def test_a_picture_that_ends_too_early_is_an_error_of_its_own(files: list[Path]) -> None:
    content = next(file for file in files if file.name == "a b.png").read_bytes()
    half = Image.open(io.BytesIO(content[: len(content) // 2]))
    good, bad = predict_images(TASKS["multiclass"](), [content, half])
    assert good.error is None
    assert "The PngImageFile could not be read as an image: " in str(bad.error)
    (huge,) = predict_images(TASKS["multiclass"](), Image.new("L", (200, 300)), max_pixels=50_000)
    assert "more than max_pixels=50,000" in str(huge.error)


def test_tensors_of_any_type_and_axes_are_pixels() -> None:
    image = torch.randint(0, 256, (3, 7, 9), dtype=torch.uint8)
    expected = image.permute(1, 2, 0).numpy()
    share = image.double() / 255
    for form in (image, share, share.float().requires_grad_(), image.to(memory_format=torch.preserve_format)):
        assert np.array_equal(read_source(form, Reading()), expected)
    rounded = read_source(share.bfloat16(), Reading()).astype(int)
    assert np.abs(rounded - expected).max() <= 1
    assert np.array_equal(read_source(image[0], Reading(1)), expected[:, :, :1])
    with pytest.raises(UnreadableFileError, match=r"\[7, 9, 3\] is not an image; expected \[C, H, W\]: permute"):
        read_source(image.permute(1, 2, 0), Reading())
    with pytest.raises(UnreadableFileError, match="run from"):
        read_source(share.float() * 4 - 2, Reading())


@pytest.mark.parametrize(
    ("shape", "channels", "single"),
    [
        ((5, 20, 30, 3), 3, (20, 30, 3)),
        ((5, 3, 20, 30), 3, (20, 30, 3)),
        ((5, 1, 20, 30), 3, (20, 30, 1)),
        ((5, 7, 20, 30), 7, (20, 30, 7)),
        ((5, 20, 30, 7), 7, (20, 30, 7)),
    ],
)
def test_the_axes_of_a_batch_of_arrays_are_told_apart(
    shape: tuple[int, ...], channels: int, single: tuple[int, ...]
) -> None:
    batch = np.arange(np.prod(shape)).reshape(shape)
    images = list(each_image(batch, channels))
    assert [getattr(image, "shape", None) for image in images] == [single] * 5
    first = images[1]
    assert isinstance(first, np.ndarray)
    assert set(first.flat) == set(batch[1].flat)


def test_batches_lists_and_generators_give_one_prediction_for_each_image(files: list[Path]) -> None:
    task = TASKS["multiclass"]()
    batch = torch.randint(0, 256, (4, 3, 20, 24), dtype=torch.uint8)
    expected = [one.scores for one in predict_images(task, list(batch))]
    asked: list[int] = []

    def images() -> Iterator[Tensor]:
        for index in range(4):
            asked.append(index)
            yield batch[index]

    for form in (batch, batch.numpy(), batch.permute(0, 2, 3, 1).numpy(), [batch[:3], batch[3]], images()):
        found = list(predict_images(task, form, batch_size=3))
        assert [one.name for one in found] == [0, 1, 2, 3]
        for one, other in zip(found, expected, strict=True):
            assert one.scores == pytest.approx(other, abs=1e-6)
    asked.clear()
    predictions = predict_images(task, images(), batch_size=1, threads=1)
    next(predictions)
    assert asked == [0, 1, 2]  # one at the network, one that is read, and the next
    names = np.array([str(file) for file in files[:2]])
    assert [one.name for one in predict_images(task, names)] == files[:2]
    assert [one.name for one in predict_images(task, [names[0], batch[0]])] == [files[0], 1]


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (None, r"images is a NoneType; expected the name of a file, bytes, "),
        ([torch.zeros(3, 4, 4), 3], r"images\[1\] is a int"),
        ([(torch.zeros(3, 4, 4), 3)], r"images\[0\] is a tuple.* for image, label in pairs"),
    ],
)
def test_what_is_no_image_is_named(images: Any, message: str) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(ArgumentError, match=message):
        list(each_image(images, 3))


@pytest.mark.unchecked
def test_a_batch_of_a_data_module_is_asked_for_its_images() -> None:
    from visiontasks import AutoencodingBatch

    batch = AutoencodingBatch(torch.zeros(1, 3, 4, 4), torch.zeros(1).long(), torch.zeros(1).long())
    with pytest.raises(
        ArgumentError, match=r"images\[0\] is a AutoencodingBatch.* Give its images: images\[0\]\.images"
    ):
        list(each_image([batch], 3))  # type: ignore[list-item]  # wrong on purpose


def test_one_image_may_be_given_many_times(files: list[Path]) -> None:
    file = next(file for file in files if file.name == "a b.png")
    expected = read_image(file)
    stream = Slow(file.read_bytes())
    with Image.open(file) as picture:
        sources: list[Any] = [picture, stream, stream] * 10
        found = predict_images(TASKS["multiclass"](), sources, threads=4, keep_images=True)
        for one in found:
            assert one.error is None
            assert one.image is not None
            assert torch.equal(one.image, expected)
