from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from visiontasks import MaskFolderDataModule
from visiontasks.data.measuring.frequencies import balance
from visiontasks.errors import ArgumentError, DataError


def test_a_class_weighs_as_much_as_it_is_rarer_than_the_median() -> None:
    # Frequencies 0.5, 0.25 and 0.1 in the images where they occur; the last class never does.
    weights = balance(np.array([50, 25, 5, 0]), np.array([100, 100, 50, 0]))
    torch.testing.assert_close(weights, torch.tensor([0.5, 1.0, 2.5, 1.0]))


def test_masks_without_a_pixel_that_counts_are_an_error() -> None:
    with pytest.raises(DataError, match="All pixels of the training masks are ignored"):
        balance(np.zeros(3, np.int64), np.zeros(3, np.int64))


def write(root: Path, masks: list[np.ndarray]) -> MaskFolderDataModule:
    for split in ("train", "val"):
        for number, mask in enumerate(masks):
            for kind, pixels in (("images", np.zeros((*mask.shape, 3), np.uint8)), ("masks", mask)):
                (root / kind / split).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(root / kind / split / f"{number}.png")
    return MaskFolderDataModule(root, class_names=["a", "b", "c"], ignore_index=7, num_workers=0)


def test_they_are_counted_over_the_images_in_which_a_class_occurs(tmp_path: Path) -> None:
    one, two = np.zeros((8, 10), np.uint8), np.zeros((4, 10), np.uint8)
    one[:, :2] = 1
    one[:, 9] = 7
    two[0] = 2
    data = write(tmp_path, [one, two])
    data.setup("fit")
    # a: 56 + 30 of 72 + 40; b: 16 of 72; c: 10 of 40.
    frequency = np.array([86 / 112, 16 / 72, 10 / 40])
    torch.testing.assert_close(
        data.median_frequency_weights(), torch.from_numpy((0.25 / frequency).astype(np.float32)), rtol=1e-6, atol=0
    )


def test_camvid_s_are_near_those_that_segnet_used(data_root: Path) -> None:
    names = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"]
    data = MaskFolderDataModule(data_root / "CamVid", class_names=names, ignore_index=11, num_workers=0)
    data.setup("fit")
    weights = dict(zip(names, data.median_frequency_weights().tolist(), strict=True))
    # What SegNet's authors published differs by up to a factor of 2.5 (sign), but not in order of size.
    published = {"sky": 0.2595, "building": 0.1826, "pole": 4.5640, "road": 0.1417, "pedestrian": 6.2478}
    for name, value in published.items():
        assert weights[name] == pytest.approx(value, rel=0.15)
    assert max(weights, key=weights.__getitem__) == "bicyclist"


def test_data_of_another_task_have_no_pixels_to_count(tmp_path: Path) -> None:
    from visiontasks import FolderDataModule

    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "train" / name / "x.png")
    data = FolderDataModule(tmp_path, image_size=(8, 8), num_workers=0)
    data.setup("fit")
    with pytest.raises(ArgumentError, match="is of pixels; the data set is a ClassificationDataset"):
        data.median_frequency_weights()
