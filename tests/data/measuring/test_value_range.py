from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from visiontasks import FolderDataModule
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.data.measuring.value_range import check_value_range, measure_value_range
from visiontasks.errors import ArgumentError, DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write classes of images of 12 bits in 16, one of which is damaged."""
    random = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(4):
                pixels = random.integers(200, 4096, (20, 24), dtype=np.uint16)
                cv2.imwrite(str(tmp_path / split / name / f"{number}.png"), pixels)
    (tmp_path / "train" / "a" / "9.png").write_bytes(b"damaged")
    return tmp_path


def test_percentiles_are_those_of_all_training_pixels(root: Path) -> None:
    data = FolderDataModule(root, in_channels=1, image_size=(20, 24), value_range="percentiles", num_workers=0)
    files = [file for file in sorted((root / "train").rglob("*.png")) if file.name != "9.png"]
    pixels = np.concatenate([np.asarray(Image.open(file)).ravel() for file in files])
    low, high = np.percentile(pixels, [0.1, 99.9])
    assert measure_value_range(data.splits["train"].index) == (low, high)
    assert data.reading.value_range == (low, high)


def test_the_range_reaches_batches_and_statistics(root: Path) -> None:
    def make(value_range: tuple[float, float] | None) -> FolderDataModule:
        data = FolderDataModule(
            root, in_channels=1, image_size=(20, 24), value_range=value_range, num_workers=0, on_error="skip"
        )
        data.setup("fit")
        return data

    coarse, fine = make(None), make((0, 4095))
    levels = [len(data.val_set[BatchRequest([0, 1], 0)].images.unique()) for data in (coarse, fine)]
    assert levels[0] <= 16
    assert levels[1] > 200
    assert float(coarse.statistics().mean) < 0.04
    assert float(fine.statistics().mean) == pytest.approx(2148 / 4095, abs=0.02)


@pytest.mark.parametrize("wrong", [(3, 3), (4, 1), (1, 2, 3), "percentile"])
def test_a_wrong_range_is_named(wrong: tuple[float, float]) -> None:
    with pytest.raises(ArgumentError, match=r"value_range is .*percentile"):
        check_value_range(wrong)


def test_images_of_one_value_have_no_range(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "train" / name / "0.png"), np.full((4, 4), 700, np.uint16))
    index = FolderDataModule(tmp_path).splits["train"].index
    with pytest.raises(DataError, match="run from 700 to 700; expected a range"):
        measure_value_range(index)
