from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from visiontasks import ClassificationBatch, ClassificationTask, ShapesDataModule
from visiontasks.backbones.backbone import ChannelValues
from visiontasks.description import Statistics
from visiontasks.errors import ArgumentError, DataError
from visiontasks.tasks.normalization import NamedNormalization, Normalization, Normalize, check_values

MEASURED = Statistics(torch.tensor([0.2, 0.5]), torch.tensor([0.1, 0.3]), torch.rand(2, 4, 6))


def pixels(channels: int) -> torch.Tensor:
    return torch.randint(256, (3, channels, 4, 6), dtype=torch.uint8)


def test_imagenet_is_what_torchvision_does() -> None:
    images = pixels(3)
    reference = v2.Compose(
        [v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    )
    torch.testing.assert_close(Normalize("imagenet", 3)(images), reference(images))


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_imagenet_averages_for_other_channels(channels: int) -> None:
    images = pixels(channels)
    mean, std = np.mean([0.485, 0.456, 0.406]), np.mean([0.229, 0.224, 0.225])
    expected = (images.numpy() / 255 - mean) / std
    torch.testing.assert_close(Normalize("imagenet", channels)(images), torch.from_numpy(expected).float())


def around(values: np.ndarray) -> np.ndarray:
    """Average the surroundings with OpenCV: 4 x 4 pixels become one, 5 x 5 of those are averaged."""
    channels, height, width = values.shape
    whole = np.pad(values, ((0, 0), (0, -height % 4), (0, -width % 4)), mode="edge")
    coarse = whole.reshape(channels, whole.shape[1] // 4, 4, whole.shape[2] // 4, 4).mean((2, 4))
    maps = []
    for plane in coarse:
        sums, counts = (
            cv2.boxFilter(x, -1, (5, 5), normalize=False, borderType=cv2.BORDER_CONSTANT)
            for x in (plane, np.ones_like(plane))
        )
        maps.append(cv2.resize(sums / counts, whole.shape[:0:-1])[:height, :width])
    return np.stack(maps)


@pytest.mark.parametrize("size", [(40, 64), (33, 46), (3, 5)])
def test_local_contrast_is_that_of_the_surroundings(size: tuple[int, int]) -> None:
    images = torch.randint(256, (2, 3, *size), dtype=torch.uint8)
    expected = []
    for image in images.double().numpy() / 255:
        centered = image - around(image)
        deviation = np.sqrt(around(np.square(centered).mean(0, keepdims=True)))
        expected.append(centered / np.maximum(deviation, deviation.mean()))
    actual = Normalize("local_contrast", 3)(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(actual, torch.from_numpy(np.stack(expected)).float(), rtol=1e-4, atol=1e-4)
    assert actual.is_contiguous(memory_format=torch.channels_last), "convolutions are fastest on it"


def test_local_contrast_takes_the_lighting_out() -> None:
    images = torch.rand(2, 3, 48, 64)
    normalize = Normalize("local_contrast", 3)
    torch.testing.assert_close(normalize(0.5 * images + 0.3), normalize(images), rtol=1e-3, atol=1e-3)
    assert not normalize(torch.full((1, 3, 20, 20), 0.4)).abs().gt(1e-3).any(), "an even image stays even"


def test_unit_runs_from_minus_one_to_one() -> None:
    images = pixels(2)
    expected = images.numpy() / 127.5 - 1
    torch.testing.assert_close(Normalize("unit", 2)(images), torch.from_numpy(expected).float())


@pytest.mark.parametrize("mode", ["dataset", "channel_mean", "image_mean"])
def test_measured_modes_use_the_statistics(mode: NamedNormalization) -> None:
    images = pixels(2)
    normalize = Normalize(mode, 2, image_size=(4, 6))
    assert not normalize.measured
    normalize.set_statistics(MEASURED)
    assert normalize.measured
    mean, std = (value.numpy()[:, None, None] for value in MEASURED[:2])
    assert MEASURED.mean_image is not None
    values = images.numpy()
    expected = {
        "dataset": (values / 255 - mean) / std,
        "channel_mean": values - 255 * mean,
        "image_mean": values - 255 * MEASURED.mean_image.numpy(),
    }[mode]
    torch.testing.assert_close(normalize(images), torch.from_numpy(expected).float(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("mode", ["imagenet", "unit", "dataset", "channel_mean", "image_mean", "local_contrast"])
def test_floats_in_0_to_1_are_normalised_like_bytes(mode: Normalization) -> None:
    images = pixels(2)
    normalize = Normalize(mode, 2, image_size=(4, 6))
    normalize.set_statistics(MEASURED)
    torch.testing.assert_close(normalize(images.float() / 255), normalize(images), rtol=1e-5, atol=1e-4)


def test_modes_that_measure_nothing_ignore_statistics() -> None:
    normalize = Normalize("unit", 2)
    before = normalize.mean.clone()
    normalize.set_statistics(MEASURED)
    assert normalize.measured
    assert torch.equal(normalize.mean, before)


def test_a_constant_channel_is_not_divided_by_zero() -> None:
    normalize = Normalize("dataset", 1)
    normalize.set_statistics(Statistics(torch.tensor([0.5]), torch.tensor([0.0]), None))
    # By one step of the 255 instead.
    images = pixels(1)
    torch.testing.assert_close(normalize(images), images.float() - 127.5)


def test_an_image_mean_needs_one_image_size() -> None:
    with pytest.raises(
        ArgumentError, match=r"'image_mean' subtracts one mean image: give image_size=\(height, width\)"
    ):
        Normalize("image_mean", 3)
    with pytest.raises(ArgumentError, match=r"'image_mean' subtracts one mean image"):
        ClassificationTask(3, normalization="image_mean")


@pytest.mark.parametrize(
    ("statistics", "found"),
    [
        (MEASURED._replace(mean_image=None), "but there is none"),
        (MEASURED._replace(mean_image=torch.rand(2, 5, 6)), r"but it has shape \[2, 5, 6\]"),
    ],
)
def test_a_mean_image_of_another_size_is_an_error(statistics: Statistics, found: str) -> None:
    with pytest.raises(ArgumentError, match=rf"'image_mean' needs a mean of shape \[2, 4, 6\], {found}"):
        Normalize("image_mean", 2, image_size=(4, 6)).set_statistics(statistics)


def test_statistics_of_other_channels_are_an_error() -> None:
    with pytest.raises(
        ArgumentError, match=r"'dataset' needs a mean of shape \[3, 1, 1\], but it has shape \[2, 1, 1\]"
    ):
        Normalize("dataset", 3).set_statistics(MEASURED)


def test_data_of_another_size_than_the_mean_image_are_an_error(make_trainer: Callable[..., Trainer]) -> None:
    task = ClassificationTask(4, normalization="image_mean", image_size=(8, 8))
    data = ShapesDataModule(train_size=2, val_size=1, image_size=(16, 16))
    with pytest.raises(ArgumentError, match=r"data have the size \(16, 16\), the mean .* has \(8, 8\)\. Use"):
        make_trainer(max_epochs=1).fit(task, datamodule=data)


def test_numbers_are_what_torchvision_does(make_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    numbers: ChannelValues = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
    task = ClassificationTask(4, normalization=numbers, backbone_options={"filters": [4]})
    images = pixels(3)
    reference = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(numbers["mean"], numbers["std"])])
    torch.testing.assert_close(task.normalize(images), reference(images))
    # They are not measured anew, and travel in the checkpoint.
    data = ShapesDataModule(train_size=2, val_size=1, image_size=(16, 20), batch_size=2)
    trainer = make_trainer(max_steps=1, limit_val_batches=0)
    trainer.fit(task, datamodule=data)
    trainer.save_checkpoint(tmp_path / "task.ckpt")
    loaded = ClassificationTask.load_from_checkpoint(tmp_path / "task.ckpt")
    assert loaded.normalize.mode == loaded.hparams["normalization"] == numbers
    torch.testing.assert_close(loaded.normalize(images), reference(images))
    # And to the next task.
    again = ClassificationTask(2, backbone_weights=tmp_path / "task.ckpt", backbone_options={"filters": [4]})
    assert again.normalize.mode == numbers


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"mean": [0.5]}, r"expected the keys 'mean' and 'std'"),
        (
            {"mean": [0.5] * 2, "std": [0.5] * 3},
            "expected 3 numbers for each of the two, as the images have 3 channels",
        ),
        ({"mean": 0.5, "std": 0.5}, "expected 3 numbers for each"),
        ({"mean": [0.5, 0.5, float("nan")], "std": [0.5] * 3}, "expected 3 numbers for each"),
        ({"mean": [0.5] * 3, "std": [0.5, 0.0, 0.5]}, "expected standard deviations above 0"),
        ({"mean": [123.7, 116.3, 103.5], "std": [58.4, 57.1, 57.4]}, "in 0 to 1: divide those of .* by 255"),
    ],
)
def test_numbers_that_are_not_those_of_channels_are_an_error(numbers: Any, message: str) -> None:  # noqa: ANN401 - wrong
    with pytest.raises(ArgumentError, match=message):
        Normalize(numbers, 3)


@pytest.mark.unchecked
def test_an_unknown_mode_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ArgumentError, match=r"normalization is 'zscore'\. Known: 'channel_mean'"):
        Normalize("zscore", 3)  # type: ignore[arg-type]  # the point


@pytest.mark.parametrize("mode", ["dataset", "channel_mean", "image_mean"])
def test_statistics_come_from_the_data_module_and_travel_in_the_checkpoint(
    mode: Normalization, make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    data = ShapesDataModule(train_size=6, val_size=2, image_size=(16, 20), batch_size=3)
    task = ClassificationTask(4, normalization=mode, image_size=(16, 20), backbone_options={"filters": [4]})
    trainer = make_trainer(max_steps=1, limit_val_batches=0)
    trainer.fit(task, datamodule=data)
    images = data.train_set.pixels.permute(0, 3, 1, 2).double() / 255
    shape = (3, 16, 20) if mode == "image_mean" else (3, 1, 1)
    expected = images.mean(0) if mode == "image_mean" else images.mean((0, 2, 3))[:, None, None]
    assert task.normalize.mean.shape == shape
    torch.testing.assert_close(task.normalize.mean, expected.float())
    if mode == "dataset":
        std = images.std((0, 2, 3), correction=0)[:, None, None]
        torch.testing.assert_close(task.normalize.std, std.float())

    trainer.save_checkpoint(tmp_path / "task.ckpt")
    loaded = ClassificationTask.load_from_checkpoint(tmp_path / "task.ckpt")
    assert loaded.normalize.mode == mode
    for name, value in task.normalize.state_dict().items():
        assert torch.equal(loaded.normalize.state_dict()[name], value)


@pytest.mark.parametrize(
    ("images", "remedy"),
    [
        (torch.tensor([[[[0.0, 200.0]]]]), r"float32 values from 0 to 200; .*divide by 255, or give them as uint8"),
        (torch.tensor([[[[-2.1, 2.6]]]]), r"from -2\.1 to 2\.6; .*give them as they are read: the task normalises"),
        (torch.tensor([[[[0, 1]]]]), r"torch\.int64 values from 0 to 1; expected uint8"),
        (torch.tensor([[[[0.5, float("nan")]]]]), "nan"),
    ],
)
def test_values_that_are_not_those_of_images_are_refused(images: torch.Tensor, remedy: str) -> None:
    with pytest.raises(DataError, match=remedy):
        check_values(images)


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_the_first_batch_of_a_loader_of_ones_own_is_checked(stage: str, make_trainer: Callable[..., Trainer]) -> None:
    batch = ClassificationBatch(torch.randn(4, 3, 16, 16), torch.arange(4) % 2, torch.arange(4))
    loader: Any = DataLoader([batch], batch_size=None)  # type: ignore[arg-type]  # a list is read like a Dataset
    task = ClassificationTask(2, backbone_options={"filters": [4], "depth": 1})
    with pytest.raises(DataError, match="the task normalises"):
        getattr(make_trainer(max_epochs=1), stage)(task, *[loader] * (2 if stage == "fit" else 1))


def test_values_of_images_are_fine() -> None:
    for images in (torch.zeros(1, 1, 2, 2).byte(), torch.tensor([[[[-0.05, 1.08]]]]), torch.zeros(0, 3, 2, 2)):
        check_values(images)
