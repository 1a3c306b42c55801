"""The size of training crops of a segmentation, as chosen and as given."""

import logging
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
import pytest

from visiontasks import MaskFolderDataModule
from visiontasks.data.augmentation.resizing import RandomScaledCrop
from visiontasks.data.datamodules.crops import fitting_crop, ignored_share


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of 90 x 120 pixels and their masks, as a user's folders."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(10):
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), np.full((90, 120, 3), 25 * number, np.uint8))
        cv2.imwrite(str(tmp_path / "masks" / f"{number}.png"), np.zeros((90, 120), np.uint8))
    (tmp_path / "classes.txt").write_text("ground\nsky\n")
    return tmp_path


def module(folder: Path, **options: Any) -> MaskFolderDataModule:  # noqa: ANN401 - arguments of the data module
    data = MaskFolderDataModule(folder, batch_size=4, num_workers=0, **options)
    data.setup("fit")
    return data


def test_crops_are_chosen_from_the_images(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        data = module(folder)
    assert "Training crops are 64 x 96 pixels (height x width), as images are 90 x 120 in the median" in caplog.text
    batch = next(iter(data.train_dataloader()))
    assert batch.images.shape[-2:] == (64, 96)
    ignored = np.mean([(next(iter(data.train_dataloader())).masks == 255).numpy().mean() for _ in range(8)])
    assert ignored < 0.25


@pytest.mark.parametrize("size", [384, (384, 384)])
def test_a_size_that_was_given_stays_and_is_warned_of(folder: Path, size: Any) -> None:  # noqa: ANN401 - a size
    message = r"90% of the pixels of training crops lie outside .* 384 x 384 .* 90 x 120 .* chooses 64 x 96"
    with pytest.warns(UserWarning, match=message):
        data = module(folder, image_size=size)
    assert next(iter(data.train_dataloader())).images.shape[-2:] == (384, 384)
    module(folder, image_size=64)


def test_large_images_are_cropped_to_the_usual_size() -> None:
    assert fitting_crop([(1080, 1920), (2000, 3000), (1000, 1000)], (384, 384)) == (384, 384)
    assert fitting_crop([(360, 480)], (384, 384)) == (352, 384)
    assert fitting_crop([(20, 40)], (384, 384)) == (32, 32)


def test_the_share_is_that_of_drawn_crops() -> None:
    crops, random = RandomScaledCrop((60, 80), (0.5, 2.0)), Random(0)
    outside = []
    for _ in range(4000):
        window = crops.window(90, 50, random)
        rows = min(90, window.top + window.height) - max(0, window.top)
        columns = min(50, window.left + window.width) - max(0, window.left)
        outside.append(1 - rows * columns / (window.height * window.width))
    assert ignored_share([(90, 50)], (60, 80), (0.5, 2.0)) == pytest.approx(np.mean(outside), abs=0.02)
