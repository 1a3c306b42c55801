"""How images, masks and lists of them are found."""

from pathlib import Path

import pytest
from PIL import Image

from tests.data.datamodules.image_sets import write_masks
from visiontasks import MaskFolderDataModule
from visiontasks.data.datasets.shapes import CLASS_NAMES

NAMES = ("ground", *CLASS_NAMES)


def test_folders_may_be_capitalised(tmp_path: Path) -> None:
    write_masks(tmp_path, 4)
    for name in ("images", "masks"):
        (tmp_path / name).rename(tmp_path / name.capitalize())
    index = MaskFolderDataModule(tmp_path, class_names=NAMES).splits["val"].index
    assert index.masks is not None
    assert (index.files[0], index.masks[0]) == ("Images/val/0.png", "Masks/val/0.png")
    assert index.file(0).exists()


def test_lists_of_images_are_not_taken_for_lists_of_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.new("L", (8, 8)).save(tmp_path / folder / f"{number}.png")
    (tmp_path / "train.txt").write_text("0\n2\n")
    (tmp_path / "val.txt").write_text("1.png\nimages/3.png\n")
    lists = {"train": "train.txt", "val": "val.txt"}
    data = MaskFolderDataModule(tmp_path, class_names=NAMES, lists=lists)
    assert list(data.splits["train"].index.files) == ["images/0.png", "images/2.png"]
    # Relative to the working folder, too; the root goes first.
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "train.txt").write_text("3\n")
    (tmp_path / "other" / "rest.txt").write_text("0\n")
    monkeypatch.chdir(tmp_path / "other")
    data = MaskFolderDataModule(tmp_path, class_names=NAMES, lists={**lists, "test": "rest.txt"})
    assert [list(data.splits[split].index.files) for split in ("train", "test")] == [
        ["images/0.png", "images/2.png"],
        ["images/0.png"],
    ]
    data = MaskFolderDataModule(tmp_path, class_names=NAMES)
    data.splits.strict = False
    assert "Lists of images alone are given as lists=" in data.splits["train"].problems[0].remedy
