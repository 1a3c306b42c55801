"""How the folders of splits and classes are told apart."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.datamodules.image_sets import save, write_folders
from visiontasks import FolderDataModule
from visiontasks.errors import DataError


@pytest.mark.parametrize("splits", [("Training", "Testing"), ("TRAIN", "dev"), ("train", "Val")])
def test_splits_are_called_in_any_usual_way(splits: tuple[str, str], tmp_path: Path) -> None:
    data = FolderDataModule(write_folders(tmp_path, 8, splits), num_workers=0)
    assert data.class_names == ("circle", "square", "star", "triangle")
    own = "test" if splits[1] == "Testing" else "val"
    assert [split for split in ("val", "test") if data.splits.origin(split) == "own"] == [own]
    assert data.splits[own].index.root == tmp_path / splits[1]


def test_a_folder_too_many_is_named(tmp_path: Path) -> None:
    write_folders(tmp_path / "dataset", 4, ("train", "val"))
    with pytest.raises(DataError, match=r"Did you mean root='.*/dataset'\?"):
        _ = FolderDataModule(tmp_path, num_workers=0).class_names


@pytest.mark.filterwarnings("ignore:.*it is left out")
def test_a_test_folder_without_classes_is_left_out(tmp_path: Path) -> None:
    write_folders(tmp_path, 12, ("train", "unsorted"))
    (tmp_path / "test").mkdir()
    for file in (tmp_path / "unsorted").rglob("*.png"):
        file.rename(tmp_path / "test" / f"{file.parent.name}{file.name}")
    with pytest.warns(UserWarning, match="test' has no folders of classes; it is left out"):
        assert FolderDataModule(tmp_path, num_workers=0).splits.origin("test") == "dealt"
    assert FolderDataModule(tmp_path, "autoencoding", num_workers=0).splits.origin("test") == "own"


def test_a_class_called_like_a_split_is_a_class(tmp_path: Path) -> None:
    for name in ("bus/1.png", "car/1.png", "train/1.png"):
        save(np.zeros((9, 9, 3), np.uint8), tmp_path / name)
    index = FolderDataModule(tmp_path).splits.own("train").index
    assert (index.class_names, len(index)) == (("bus", "car", "train"), 3)


def test_a_folder_that_may_be_class_or_split_is_asked_about(tmp_path: Path) -> None:
    for name in ("bus", "car", "Train"):
        for year in ("2019", "2020"):
            save(np.zeros((9, 9, 3), np.uint8), tmp_path / name / year / "1.png")
    message = r"may be the training split, or a class beside bus, car\. .*=\[Train, bus, car\] or .*=\[2019, 2020\]"
    with pytest.raises(DataError, match=message):
        _ = FolderDataModule(tmp_path).splits["train"]
    as_class = FolderDataModule(tmp_path, class_names=["Train", "bus", "car"]).splits.own("train").index
    as_split = FolderDataModule(tmp_path, class_names=["2019", "2020"]).splits.own("train").index
    assert (len(as_class), len(as_split)) == (6, 2)
    save(np.zeros((9, 9, 3), np.uint8), tmp_path / "val" / "2019" / "1.png")
    assert len(FolderDataModule(tmp_path).splits["train"].index) == 2
