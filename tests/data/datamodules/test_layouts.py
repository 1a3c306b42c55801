import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from visiontasks import COCODataModule, CSVDataModule
from visiontasks.data.datamodules.layouts import find_images_folder, first_existing, first_file_names, spelled
from visiontasks.errors import DataError

NAMES = ["0.jpg", "1.jpg", "2.jpg"]


def find(root: Path, beside: str = ".", names: Sequence[str] = NAMES) -> str:
    found = find_images_folder(root, names, root / beside, ("val", "valid"))
    return found.relative_to(root).as_posix()


def write(root: Path, *folders: str, names: Sequence[str] = NAMES) -> None:
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for name in names:
            (root / folder / name).touch()


@pytest.mark.parametrize("own", ["valid", "valid/images", "images/val", "deep/val/x", "deep/Valid"])
def test_images_of_another_split_are_not_taken(tmp_path: Path, own: str) -> None:
    write(tmp_path, own, "train", "train/images", "images/train", "deep/train/x")
    assert find(tmp_path) == own


def test_images_beside_their_annotations_come_first(tmp_path: Path) -> None:
    write(tmp_path, "train/images", "images", "a/b", "a/b/images")
    assert find(tmp_path, "train") == "train/images"
    assert find(tmp_path, "a/b") == "a/b"
    assert find(tmp_path) == "images"
    write(tmp_path, "val")
    assert find(tmp_path) == "val"


def test_folders_of_one_rank_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, "a", "b/c", "few")
    (tmp_path / "few" / "1.jpg").unlink()
    with pytest.raises(DataError, match=r"'0\.jpg' is in 'a' and 'b/c'\. Say which is meant with images='\.\.\.'"):
        find(tmp_path)


def test_the_first_image_may_be_missing(tmp_path: Path) -> None:
    write(tmp_path, "pictures/all", names=NAMES[1:])
    assert find(tmp_path) == "pictures/all"
    assert find(tmp_path, names=["pictures\\all\\2"]) == "."
    assert find(tmp_path, names=["gone.jpg"]) == "."


def test_tables_of_splits_find_their_own_images(tmp_path: Path) -> None:
    write(tmp_path, "train", "val", "test")
    for split in ("train", "val", "test"):
        (tmp_path / f"{split}.csv").write_text("file,class\n0,cat\n1,dog\n")
    data = CSVDataModule(tmp_path)
    for split in ("train", "val", "test"):
        index = data.splits[split].index
        assert (index.root, list(index.files)) == (tmp_path / split, NAMES[:2])


def test_a_table_of_all_splits_finds_the_images_of_each(tmp_path: Path) -> None:
    write(tmp_path, "train", "valid")
    (tmp_path / "labels.csv").write_text("file,class,split\n0.jpg,cat,train\n1.jpg,cat,valid\n")
    data = CSVDataModule(tmp_path)
    assert [data.splits[split].index.root.name for split in ("train", "val")] == ["train", "valid"]


def test_json_files_of_splits_find_their_own_images(tmp_path: Path) -> None:
    write(tmp_path, "train/images", "valid/images")
    content = {"images": [{"id": 0, "file_name": "0.jpg"}], "annotations": [], "categories": [{"id": 0, "name": "cat"}]}
    for split in ("train", "valid"):
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(content))
    data = COCODataModule(tmp_path)
    assert data.splits["train"].index.root == tmp_path / "train" / "images"
    assert data.splits["val"].index.root == tmp_path / "valid" / "images"


def test_file_names_are_read_without_the_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    spaces = " " * ((1 << 20) - 12)
    file.write_text(f'{spaces}{{"file_name": "a \\"1\\".jpg"}}, {{"file_name" : "b.jpg"}}, {{"file_name":"c.jpg"}}')
    assert first_file_names(file, 2) == ['a "1".jpg', "b.jpg"]
    assert first_file_names(file) == ['a "1".jpg', "b.jpg", "c.jpg"]
    assert first_file_names(tmp_path / "none.json") == []


def test_names_are_found_capitalised_or_in_capitals(tmp_path: Path) -> None:
    for name in ("Images/TRAIN", "images2/train", "Train"):
        (tmp_path / name).mkdir(parents=True)
    assert spelled(tmp_path, "images/train") == "Images/TRAIN"
    assert spelled(tmp_path, "images2/train") == "images2/train"
    assert spelled(tmp_path, "images/val") is None
    assert spelled(tmp_path / "Train", "../images") == "../Images"
    assert spelled(Path("elsewhere"), str(tmp_path / "train")) == str(tmp_path / "Train")
    assert first_existing(tmp_path, ("val", "train")) == tmp_path / "Train"
    assert first_existing(tmp_path, ("val", "valid")) is None
