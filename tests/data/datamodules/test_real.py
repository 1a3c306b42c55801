"""The real data sets, with the counts that their description states."""

from pathlib import Path
from typing import Any

import pytest

from visiontasks import COCODataModule, CSVDataModule, MaskFolderDataModule, MNISTDataModule, VOCDataModule
from visiontasks.data.check import check
from visiontasks.data.lightning_modules import FileDataModule

CAMVID = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
# Folder, data module, its options, images and objects in training, validation and test, and classes.
SETS: list[tuple[str, type[FileDataModule], dict[str, Any], list[int], list[int], int]] = [
    ("coco", COCODataModule, {}, [170, 140, 140], [1694, 1290, 1290], 80),
    ("coco", COCODataModule, {"task": "segmentation"}, [170, 140, 140], [1694, 1290, 1290], 81),
    ("coco", COCODataModule, {"task": "classification"}, [170, 140, 140], [1694, 1290, 1290], 80),
    ("coco_as_voc", VOCDataModule, {}, [30, 20, 20], [269, 224, 224], 20),
    ("coco_as_voc", VOCDataModule, {"task": "segmentation"}, [30, 20, 20], [269, 224, 224], 21),
    ("voc_sample", VOCDataModule, {"task": "segmentation"}, [2, 1, 1], [6, 3, 3], 21),
    ("BCCD", VOCDataModule, {}, [205, 87, 72], [2804, 1137, 945], 3),
    ("BCCD", COCODataModule, {}, [205, 87, 72], [2804, 1137, 945], 3),
    ("cards", VOCDataModule, {"task": "localization", "objects": "single"}, [147, 33, 30], [147, 33, 30], 6),
    ("cards", COCODataModule, {}, [147, 33, 30], [147, 33, 30], 6),
    ("cards", CSVDataModule, {"task": "localization", "box_format": "voc"}, [147, 33, 30], [147, 33, 30], 6),
    ("CamVid", MaskFolderDataModule, {"class_names": CAMVID, "ignore_index": 11}, [367, 101, 233], [0, 0, 0], 11),
]


@pytest.mark.parametrize(("folder", "owner", "options", "images", "objects", "classes"), SETS)
def test_a_real_set_has_the_stated_counts(
    folder: str,
    owner: type[FileDataModule],
    options: dict[str, Any],
    images: list[int],
    objects: list[int],
    classes: int,
    data_root: Path,
) -> None:
    data = owner(root=data_root / folder, num_workers=0, batch_size=2, **options)
    data.setup("fit")
    data.setup("test")
    assert [len(split) for split in (data.train_set, data.val_set, data.test_set)] == images
    assert [len(data.splits[split].index.labels) for split in ("train", "val", "test")] == objects
    assert data.num_classes == classes
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        assert len(next(iter(loader)).images)


def test_mnist_has_the_stated_counts(data_root: Path) -> None:
    report = check(MNISTDataModule(data_root))
    counts = report.splits["train"].counts + report.splits["val"].counts
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert report.splits["test"].images == 10_000


def test_check_names_the_two_empty_boxes_of_bccd(data_root: Path) -> None:
    report = check(VOCDataModule(data_root / "BCCD", num_workers=0))
    found = {(Path(problem.file).stem, problem.kind, problem.value.split(" in ")[0]) for problem in report.problems}
    kind = "box of zero area"
    assert found == {
        ("BloodImage_00338", kind, "[504, 337, 504, 337]"),
        ("BloodImage_00343", kind, "[181, 329, 181, 329]"),
    }
    assert report.exit_code == 1


@pytest.mark.slow
def test_check_counts_the_pixels_of_camvid(data_root: Path) -> None:
    options: dict[str, Any] = {"class_names": CAMVID, "ignore_index": 11}
    report = check(MaskFolderDataModule(data_root / "CamVid", num_workers=0, **options))
    stated = [10682767, 14750079, 623349, 20076880, 2845085, 6166762, 743859, 714595, 3719877, 405385, 184967]
    assert report.splits["train"].counts.tolist() == stated
    assert report.exit_code == 0
