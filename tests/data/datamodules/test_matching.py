"""Data in files take over what a checkpoint knows: classes by name, sizes, and which images are scored."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.data.datamodules.image_sets import (
    save,
    shapes,
    write_coco,
    write_folders,
    write_masks,
    write_table,
    write_voc,
    write_yolo,
)
from visiontasks import (
    COCODataModule,
    CSVDataModule,
    FolderDataModule,
    MaskFolderDataModule,
    VOCDataModule,
    YOLODataModule,
)
from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.datasets.shapes import CLASS_NAMES
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.data.scoring import Trained
from visiontasks.errors import ArgumentError, DataError

NAMES = ("star", "hexagon", "triangle", "circle", "square")
"""The classes of a checkpoint: more than those of the data, in another order."""
STRETCH = {"policy": "Stretch", "size": [16, 24], "multiple": 1}
WITHIN = {"policy": "Within", "shorter": 32, "longer": 64, "multiple": 16}


def trained(names: tuple[str, ...] = NAMES, view: dict[str, object] = STRETCH, root: str | None = None) -> Trained:
    return Trained(names, 1, view, root=root)


def yolo(root: Path) -> FileData:
    root.mkdir()
    return YOLODataModule(write_yolo(root), "detection", num_workers=0)


def voc(root: Path) -> FileData:
    root.mkdir()
    return VOCDataModule(write_voc(root), "detection", num_workers=0)


CASES = {
    "coco": lambda root: COCODataModule(write_coco(root), "detection", num_workers=0),
    "csv": lambda root: CSVDataModule(write_table(root), "detection", num_workers=0),
    "voc": voc,
    "yolo": yolo,
}


@pytest.mark.parametrize("form", CASES)
def test_objects_have_the_labels_of_the_checkpoint(form: str, tmp_path: Path) -> None:
    own = CASES[form](tmp_path / "data").splits["train"].index
    data = CASES[form](tmp_path / "again")
    data.match(trained(view=WITHIN), "train")
    data.setup("test")
    matched = data.splits["test"].index
    assert data.class_names == NAMES
    assert [matched.class_names[label] for label in matched.labels] == [own.class_names[label] for label in own.labels]
    batch = data.test_set[BatchRequest([0], 0)]
    assert batch.images.shape[1] == data.in_channels == 1
    assert data.view == WITHIN
    assert not [side for side in batch.images.shape[2:] if side % 16]


def test_folders_have_the_size_of_the_checkpoint_unless_it_is_given(tmp_path: Path) -> None:
    root = write_folders(tmp_path, count=4, splits=("all",)) / "all"
    data = FolderDataModule(root, num_workers=0)
    data.match(trained())
    data.setup("test")
    assert data.image_size == (16, 24)
    assert data.test_set[BatchRequest([0], 0)].images.shape[2:] == (16, 24)
    given = FolderDataModule(root, num_workers=0, image_size=(8, 8))
    given.match(trained())
    assert given.image_size == (8, 8)


def test_an_unknown_class_is_named(tmp_path: Path) -> None:
    data = FolderDataModule(write_folders(tmp_path, count=4, splits=("all",)) / "all", num_workers=0)
    data.match(trained(("circle", "square", "star")))
    with pytest.raises(DataError, match="unknown class: 'triangle'"):
        data.setup("test")


def test_all_images_are_scored_unless_they_have_splits_or_were_trained_on(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "whole", count=20, splits=("all",)) / "all"
    counts = {}
    for name, known, options in (
        ("new", None, {}),
        ("trained on", str(root.resolve()), {}),
        ("dealt", None, {"fractions": (0.5, 0.25, 0.25)}),
        ("test", None, {"fractions": (0, 0, 1)}),
    ):
        data = FolderDataModule(root, num_workers=0, **options)
        data.match(trained(root=known))
        data.setup("test")
        counts[name] = len(data.test_set)
    assert counts == {"new": 20, "trained on": 2, "dealt": 5, "test": 20}
    split = FolderDataModule(write_folders(tmp_path / "split", count=4), num_workers=0)
    split.match(trained())
    assert split.splits.describe("test") == "those for test"
    split.match(trained(), "all")
    assert len(split.splits["test"].index) == len(split.splits["val"].index) == 12


@pytest.mark.parametrize("form", ["folder", "coco", "list"])
def test_a_test_split_alone_is_enough(form: str, tmp_path: Path) -> None:
    data: FileData
    if form == "folder":
        data = FolderDataModule(write_folders(tmp_path, count=4, splits=("test",)), num_workers=0)
    elif form == "coco":
        data = COCODataModule(write_coco(tmp_path, count=4, splits=("test",)), num_workers=0)
    else:
        write_masks(tmp_path, count=4, listed=True)
        for split in ("train", "val"):
            (tmp_path / f"{split}.txt").unlink()
        data = MaskFolderDataModule(tmp_path / ".", lists=None, class_names=("ground", *CLASS_NAMES), num_workers=0)
    names = data.class_names
    data.match(trained(names))
    for stage in ("validate", "test"):
        data.setup(stage)
    assert len(data.test_set) == len(data.val_set) == 4
    if form == "folder":
        with pytest.raises(DataError, match="has no images for train, only for test"):
            data.setup("fit")


def test_a_class_may_be_called_test(tmp_path: Path) -> None:
    for name in ("test", "rest"):
        save(shapes(1)[0].pixels, tmp_path / name / "0.png")
    assert FolderDataModule(tmp_path, num_workers=0).class_names == ("rest", "test")


def test_values_of_masks_become_the_classes_of_the_checkpoint(tmp_path: Path) -> None:
    root = write_masks(tmp_path, count=4)
    (root / "classes.txt").write_text("\n".join(("ground", *CLASS_NAMES)))
    names = ("square", "ground", "sky", *(name for name in CLASS_NAMES if name != "square"))
    data = MaskFolderDataModule(root, num_workers=0)
    data.match(trained(names, {"policy": "Whole", "multiple": 1}))
    data.setup("test")
    assert data.class_names == names
    own = ("ground", *CLASS_NAMES)
    for image, shape in enumerate(shapes(4, seed=2)):
        expected = np.array([names.index(name) for name in own])[shape.mask]
        assert np.array_equal(data.test_set[BatchRequest([image], 0)].masks[0].numpy(), expected)
    with pytest.raises(DataError, match="masks have the class 'circle', which is not one of those that are known"):
        MaskFolderDataModule(root, num_workers=0).match(trained(("ground", "square", "triangle", "star")))


def test_masks_of_numbers_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    data = MaskFolderDataModule(write_masks(tmp_path, count=4), num_workers=0)
    data.match(trained(("ground", *CLASS_NAMES), {"policy": "Whole", "multiple": 1}))
    data.setup("test")
    assert np.array_equal(data.test_set[BatchRequest([1], 0)].masks[0].numpy(), shapes(4, seed=2)[1].mask)


def test_pixels_of_polygons_need_a_background_first(tmp_path: Path) -> None:
    data = COCODataModule(write_coco(tmp_path, count=4), "segmentation", num_workers=0)
    data.match(trained(("background", *NAMES)))
    data.setup("test")
    assert set(data.test_set[BatchRequest([0], 0)].masks.unique().tolist()) <= {0, 1, 3, 4, 5}
    with pytest.raises(ArgumentError, match="'background', which is not the first of star"):
        COCODataModule(tmp_path, "segmentation", num_workers=0).match(trained())


def test_categories_that_no_object_has_may_be_unknown(tmp_path: Path) -> None:
    file = write_coco(tmp_path, count=4, splits=("test",)) / "annotations" / "instances_test.json"
    content = json.loads(file.read_text())
    content["categories"].append({"id": 99, "name": "unicorn"})
    file.write_text(json.dumps(content))
    data = COCODataModule(tmp_path, num_workers=0)
    data.match(trained(view=WITHIN))
    assert len(data.splits["test"].index) == 4
