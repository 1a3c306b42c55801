"""Data in YOLO's form, laid out as the tools write it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.datamodules.image_sets import write_yolo
from visiontasks import YOLODataModule
from visiontasks.errors import DataError
from visiontasks.testing import check_datamodule

LABEL = "1 0.5 0.5 0.25 0.5\n"
NAMES = "names:\n  0: cat\n  1: dog\n"


def write(root: Path, *images: str, labels: str = "") -> Path:
    """Write images of 40 x 80 pixels, and a label file for each whose place is stated by a path with a star."""
    for name in images:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 40)).save(file)
        own = root / labels.replace("*", file.stem)
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(LABEL)
    return root


def in_folders(root: Path) -> Path:
    for split in ("train", "val"):
        write(root, f"images/{split}/{split}.jpg", labels=f"labels/{split}/*.txt")
    return root


def describe(root: Path, text: str, name: str = "data.yaml") -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text + NAMES)
    return root


def ultralytics(root: Path) -> Path:
    """Write what coco8.yaml is: below the folder of all data sets."""
    return describe(
        in_folders(root), f"path: ../datasets/{root.name} # root\ntrain: images/train\nval: images/val\ntest:\n"
    )


def ultralytics_in_a_folder(root: Path) -> Path:
    return describe(in_folders(root), "path: ..\ntrain: images/train\nval: [images/val]\n", "cfg/data.yaml")


def of_another_machine(root: Path) -> Path:
    return describe(
        in_folders(root), "path: /content/set\ntrain: /content/set/images/train\nval: C:\\set\\images\\val\n"
    )


def roboflow(root: Path) -> Path:
    for split in ("train", "valid"):
        write(root, f"{split}/images/{split[:5]}.jpg", labels=f"{split}/labels/*.txt")
    (root / "README.roboflow.txt").write_text("Exported from roboflow.com")
    (root / "valid" / "images" / "valid.jpg").rename(root / "valid" / "images" / "val.jpg")
    (root / "valid" / "labels" / "valid.txt").rename(root / "valid" / "labels" / "val.txt")
    return describe(root, "train: ../train/images\nval: ../valid/images\n")


def cvat(root: Path) -> Path:
    in_folders(root)
    for split in ("train", "val"):
        (root / f"{split}.txt").write_text(f"data/images/{split}/{split}.jpg\n")
    return describe(root, "path: .\ntrain: train.txt\nval: val.txt\n")


def darknet(root: Path) -> Path:
    """Write CVAT's YOLO 1.1, and Datumaro's YOLO."""
    for split in ("train", "val"):
        write(root, f"obj_{split}_data/{split}.jpg", labels=f"obj_{split}_data/*.txt")
        (root / f"{split}.txt").write_text(f"data/obj_{split}_data/{split}.jpg\n")
    (root / "obj.names").write_text("cat\ndog\n")
    text = "classes = 2\ntrain = data/train.txt\nvalid = data/val.txt\nnames = data/obj.names\nbackup = backup/\n"
    (root / "obj.data").write_text(text)
    return root


def fiftyone(root: Path) -> Path:
    text = "names:\n  0: cat\n  1: dog\npath: /home/me/set\ntrain: ./images/train/\nval: ./images/val/\n"
    in_folders(root)
    (root / "dataset.yaml").write_text(text)
    return root


def lists(root: Path) -> Path:
    in_folders(root)
    for split in ("train", "val"):
        (root / f"{split}.txt").write_text(f"./images/{split}/{split}.jpg\n\n")
    return describe(root, "train: train.txt\nval: [val.txt]\n")


def undescribed(root: Path) -> Path:
    (in_folders(root) / "classes.txt").write_text("cat\ndog\n\n")
    return root


def undescribed_by_split(root: Path) -> Path:
    roboflow(root).joinpath("data.yaml").unlink()
    (root / "train" / "labels" / "classes.txt").write_text("cat\ndog\n")
    return root


LAYOUTS: list[Callable[[Path], Path]] = [
    ultralytics,
    ultralytics_in_a_folder,
    of_another_machine,
    roboflow,
    cvat,
    darknet,
    fiftyone,
    lists,
    undescribed,
    undescribed_by_split,
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_layouts_of_the_tools_are_read(layout: Callable[[Path], Path], tmp_path: Path) -> None:
    root = layout(tmp_path / "set")
    name = "cfg/data.yaml" if layout is ultralytics_in_a_folder else None
    data = YOLODataModule(root, yaml=name)
    assert data.class_names == ("cat", "dog")
    assert data.splits.origin("test") == "val"
    for split in ("train", "val"):
        index, problems = data.splits[split].index, data.splits[split].problems
        assert [Path(file).stem for file in index.files] == [split]
        assert not problems
        boxes, labels, _ = index.objects(0)
        np.testing.assert_array_equal(np.asarray(boxes), [[30, 10, 50, 30]])
        assert labels.tolist() == [1]


@pytest.mark.parametrize(
    ("images", "labels", "names"),
    [
        ("images", "labels", "classes.txt"),  # Label Studio
        ("images", "labels", "labels/classes.txt"),  # labelImg
        (".", ".", "classes.txt"),  # labelImg, beside the images
        ("obj_train_data", "obj_train_data", "obj.names"),
        ("pictures/images", "pictures/labels", "classes.txt"),
    ],
)
def test_folders_without_splits_are_dealt(images: str, labels: str, names: str, tmp_path: Path) -> None:
    write(tmp_path, *(f"{images}/{number}.jpg" for number in range(10)), labels=f"{labels}/*.txt")
    (tmp_path / names).write_text("cat\ndog\n")
    (tmp_path / "notes.json").write_text("{}")
    if images == "pictures/images":
        with pytest.raises(DataError, match=r"holds none of these layouts[\s\S]*images/ and labels/ \(Label Studio\)"):
            _ = YOLODataModule(tmp_path).splits["train"]
        return
    data = YOLODataModule(tmp_path)
    assert [len(data.splits[split].index) for split in ("train", "val", "test")] == [8, 1, 1]
    assert data.splits.own("train").index.labels.tolist() == [1] * 10
    assert not data.splits["train"].problems


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("detection", {"shorter": 32, "longer": 64}),
        ("localization", {"image_size": (32, 32)}),
        ("segmentation", {"image_size": (32, 32)}),
        ("instances", {"shorter": 32, "longer": 64}),
    ],
)
def test_the_contract_is_kept(task: Any, options: dict[str, Any], tmp_path: Path) -> None:  # noqa: ANN401 (a task)
    root = write_yolo(tmp_path, polygons=task in ("segmentation", "instances"))
    data = YOLODataModule(root, task, batch_size=2, num_workers=0, **options)
    assert data.yields == task
    check_datamodule(data)


def test_folders_of_classes_are_data_of_another_module(tmp_path: Path) -> None:
    for name in ("train/cat/1.jpg", "train/dog/2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    with pytest.raises(DataError, match=r"for each class are data of FolderDataModule \(--data FolderDataModule\)"):
        _ = YOLODataModule(tmp_path).splits["train"]


def test_nothing_that_names_the_classes_is_an_error(tmp_path: Path) -> None:
    in_folders(tmp_path)
    with pytest.raises(DataError, match=r"nothing says which classes their numbers are"):
        _ = YOLODataModule(tmp_path).class_names
    assert YOLODataModule(tmp_path, class_names=["cat", "dog"]).splits["train"].index.labels.tolist() == [1]


def test_given_classes_are_found_by_name(tmp_path: Path) -> None:
    ultralytics(tmp_path)
    data = YOLODataModule(tmp_path, class_names=["bird", "dog", "cat"])
    assert data.splits["train"].index.labels.tolist() == [1]
    assert data.class_names == ("bird", "dog", "cat")
    with pytest.raises(DataError, match=r"unknown class: 'dog' of 1 objects"):
        _ = YOLODataModule(tmp_path, class_names=["cat", "bird"]).splits["train"]


def test_a_test_split_that_is_not_there_is_left_out_and_another_is_an_error(tmp_path: Path) -> None:
    describe(in_folders(tmp_path), "train: images/train\nval: images/val\ntest: ../test/images\n")
    with pytest.warns(UserWarning, match=r"test is '\.\./test/images', which is not below .*; it is left out"):
        assert YOLODataModule(tmp_path).splits.origin("test") == "val"
    describe(tmp_path, "train: images/train\nval: images/dev\n")
    with pytest.raises(DataError, match=r"val is 'images/dev', which is not below .*; correct the path\."):
        _ = YOLODataModule(tmp_path).splits["val"]
    describe(tmp_path, "val: images/val\n")
    with pytest.raises(DataError, match=r"does not say where the training images are"):
        _ = YOLODataModule(tmp_path).splits["train"]


def test_images_outside_the_root_are_an_error_that_names_them(tmp_path: Path) -> None:
    in_folders(tmp_path / "pictures")
    describe(tmp_path / "set", "path: ../pictures\ntrain: images/train\nval: images/val\n")
    with pytest.raises(DataError, match=r"name a root that holds '.*/pictures/images/train'\."):
        _ = YOLODataModule(tmp_path / "set").splits["train"]
    data = YOLODataModule(tmp_path / "pictures", yaml=str(tmp_path / "set" / "data.yaml"))
    assert len(data.splits["train"].index) == len(data.splits["val"].index) == 1


def test_a_description_of_another_data_set_is_refused(tmp_path: Path) -> None:
    in_folders(tmp_path / "mine")
    describe(tmp_path / "other", "train: images/train\nval: images/val\n")
    file = str(tmp_path / "other" / "data.yaml")
    for exists in (False, True):
        if exists:
            in_folders(tmp_path / "other")
        with pytest.raises(
            DataError, match=r"describes the images in '.*/other/images/train', and the root is '.*mine'"
        ):
            _ = YOLODataModule(tmp_path / "mine", yaml=file).splits["train"]
    # As Ultralytics has them beside its code, for a folder that is elsewhere on each machine.
    describe(tmp_path / "other", "path: mine\ntrain: images/train\nval: images/val\n")
    assert len(YOLODataModule(tmp_path / "mine", yaml=file).splits["train"].index) == 1


def test_without_a_root_it_is_the_folder_that_the_description_describes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_folders(tmp_path / "pictures")
    describe(tmp_path / "set", "path: ../pictures\ntrain: images/train\nval: images/val\n")
    monkeypatch.chdir(tmp_path)
    for file in (str(tmp_path / "set" / "data.yaml"), "set/data.yaml"):
        data = YOLODataModule(yaml=file)
        assert data.root == tmp_path / "pictures"
        assert len(data.splits["train"].index) == len(data.splits["val"].index) == 1
    describe(tmp_path / "pictures", "path: /content/set\ntrain: images/train\nval: images/val\n")
    assert YOLODataModule(yaml="pictures/data.yaml").root == tmp_path / "pictures"
    with pytest.raises(DataError, match=r"yaml is 'data\.yaml', but there is no such file"):
        YOLODataModule(yaml="data.yaml")


def test_several_descriptions_are_to_be_named(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        describe(in_folders(tmp_path), "train: images/train\nval: images/val\n", name)
    with pytest.raises(DataError, match=r"Its YAML files: a\.yaml, b\.yaml\. Name one, as in yaml='data\.yaml'"):
        _ = YOLODataModule(tmp_path).splits["train"]
