"""Bad inputs, each found and named by a check; training stops at what it cannot use."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.datamodules.image_sets import write_coco, write_folders, write_masks, write_table
from visiontasks import COCODataModule, CSVDataModule, FolderDataModule, MaskFolderDataModule, ShapesDataModule
from visiontasks.cli.check import describe
from visiontasks.data.check import Report, check, task_problems
from visiontasks.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONTASKS_CACHE", str(tmp_path_factory.mktemp("cache")))


def coco(root: Path, **options: Any) -> COCODataModule:  # noqa: ANN401 - arguments of the data module
    return COCODataModule(root, num_workers=0, **options)


def found(report: Report, severity: str = "error") -> list[tuple[str, str]]:
    return [(problem.kind, problem.value) for problem in report.problems if problem.severity == severity]


def train(data: COCODataModule) -> None:
    """Read what an epoch reads."""
    data.setup("fit")
    list(data.train_dataloader())


def edit(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = root / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_clean_data_pass(tmp_path: Path) -> None:
    report = check(coco(write_coco(tmp_path)))
    assert report.problems == []
    assert report.exit_code == 0
    assert [(name, split.images) for name, split in report.splits.items()] == [("train", 12), ("val", 12)]
    assert report.splits["train"].counts.sum() == len(report.splits["train"].boxes)
    assert {tuple(size) for size in report.splits["val"].sizes.tolist()} == {(40, 56), (56, 40), (48, 48)}


def box(values: list[object]) -> Callable[[dict[str, Any]], object]:
    return lambda content: content["annotations"][0].update(bbox=values)


ERRORS: dict[str, Callable[[dict[str, Any]], object]] = {
    "of length 4, got 3": box([1, 2, 3]),
    "malformed": box(["a", "b", "c", "d"]),
    "unknown category": lambda content: content["annotations"][0].update(category_id=99),
    "image id occurs twice": lambda content: content["images"][1].update(id=5),
    "file name leaves the folder of the images": lambda content: content["images"][0].update(file_name="../../x"),
    "image file is missing": lambda content: content["images"][0].update(file_name="gone.png"),
    "image cannot be used": lambda content: content["images"][0].update(width=99, height=99),
    "boxes from 0 to 1 are declared as pixels": lambda content: [
        entry.update(bbox=[0.1, 0.2, 0.3, 0.4]) for entry in content["annotations"]
    ],
}


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_is_found_and_training_refuses(kind: str, tmp_path: Path) -> None:
    edit(write_coco(tmp_path), ERRORS[kind])
    report = check(coco(tmp_path))
    assert report.exit_code == 2
    text = " ".join(map(str, report.problems))
    assert kind in text
    data = coco(tmp_path, shorter=32, longer=64, batch_size=12)
    with pytest.raises(DataError):
        train(data)


WARNINGS: dict[str, Callable[[dict[str, Any]], object]] = {
    "box of zero area": lambda content: content["annotations"][0].update(bbox=[3, 4, 0, 5], segmentation=[]),
    "box outside the image": box([300, 300, 5, 5]),
    "box reaches out of the image": box([20, 20, 900, 5]),
}


@pytest.mark.parametrize("kind", WARNINGS)
def test_what_is_dropped_or_clipped_is_a_warning_and_trains(kind: str, tmp_path: Path) -> None:
    edit(write_coco(tmp_path), WARNINGS[kind])
    report = check(coco(tmp_path))
    ((found_kind, value),) = found(report, "warning")
    assert found_kind == kind
    assert value.startswith("[")
    assert report.exit_code == 1
    data = coco(tmp_path, shorter=32, longer=64, batch_size=4)
    data.setup("fit")
    assert sum(len(batch.images) for batch in data.train_dataloader()) == 12


def test_classes_of_validation_are_those_of_training(tmp_path: Path) -> None:
    file = write_coco(tmp_path) / "annotations" / "instances_val.json"
    content = json.loads(file.read_text())
    first = content["categories"].pop(0)
    content["annotations"] = [entry for entry in content["annotations"] if entry["category_id"] != first["id"]]
    file.write_text(json.dumps(content))
    report = check(coco(tmp_path), files=False)
    assert report.splits["val"].counts[0] == 0 < report.splits["val"].counts[1:].min()
    content["categories"][0]["name"] = "blob"
    file.write_text(json.dumps(content))
    report = check(coco(tmp_path), files=False)
    ((kind, value),) = found(report)
    assert (kind, value.split(" of ")[0]) == ("unknown class", "'blob'")
    assert describe(report)


def test_a_broken_training_file_says_nothing_of_validation(tmp_path: Path) -> None:
    root = write_coco(tmp_path, 4)
    (root / "annotations" / "instances_train.json").write_text("{")
    problems = check(COCODataModule(root, num_workers=0), files=False).problems
    assert "instances_train.json" in problems[0].file
    assert not [problem for problem in problems if problem.record == "val" or "instances_val" in problem.file]


def test_ignored_objects_are_counted(tmp_path: Path) -> None:
    edit(write_coco(tmp_path), lambda content: content["annotations"][0].update(iscrowd=1))
    report = check(coco(tmp_path), files=False)
    assert (report.problems, report.splits["train"].ignored, report.splits["val"].ignored) == ([], 1, 0)
    assert ["objects", "ignored", "1", "0"] in [line.split() for line in describe(report).splitlines()]


def test_damaged_and_empty_files_are_named(tmp_path: Path) -> None:
    write_folders(tmp_path)
    half, empty = tmp_path / "train" / "circle" / "0.png", tmp_path / "val" / "square" / "1.png"
    half.write_bytes(half.read_bytes()[:200])
    empty.write_bytes(b"")
    report = check(FolderDataModule(tmp_path, num_workers=0))
    assert {(problem.file, problem.record) for problem in report.problems} == {
        (str(half), "train"),
        (str(empty), "val"),
    }
    assert report.exit_code == 2


def test_an_image_in_two_splits_is_a_warning(tmp_path: Path) -> None:
    write_folders(tmp_path)
    copied = tmp_path / "test" / "star" / "copied.png"
    shutil.copy(tmp_path / "train" / "star" / "3.png", copied)
    (problem,) = check(FolderDataModule(tmp_path, num_workers=0)).problems
    assert (problem.severity, problem.kind, problem.file) == ("warning", "same image in two splits", str(copied))
    assert problem.value == f"in train as {tmp_path / 'train' / 'star' / '3.png'}"


def test_images_that_are_scored_and_trained_on_are_counted(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "all", splits=("",))
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    for split, chosen in (("train", names[:9]), ("val", names[7:])):
        (tmp_path / f"{split}.txt").write_text("\n".join(chosen))
    data = FolderDataModule(root, lists={split: str(tmp_path / f"{split}.txt") for split in ("train", "val")})
    (problem,) = task_problems(data, ["train", "val", "test"])
    assert (problem.kind, problem.record, problem.value) == ("images are also trained on", "val", "2 of 5")
    assert not task_problems(FolderDataModule(root), ["train", "val", "test"])


def test_masks_are_held_to_their_images_and_classes(tmp_path: Path) -> None:
    write_masks(tmp_path)
    masks = tmp_path / "masks" / "train"
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(masks / "0.png")
    Image.fromarray(np.full((56, 40), 77, np.uint8)).save(masks / "1.png")
    Image.fromarray(np.full((48, 48), 255, np.uint8)).save(masks / "2.png")
    names = ("ground", "circle", "square", "triangle", "star")
    report = check(MaskFolderDataModule(tmp_path, class_names=names, num_workers=0))
    errors = [problem.value for problem in report.problems if problem.severity == "error"]
    assert len(errors) == 2
    assert "the mask is 5 x 5 (height x width), its image 40 x 56" in errors[0]
    assert "77" in errors[1]
    assert found(report, "warning") == [("every pixel is ignored", ""), ("class without pixels in training", "")]
    pixels = sum(int(size.prod()) for size in report.splits["val"].sizes)
    assert report.splits["val"].counts.sum() == pixels
    assert (report.splits["train"].ignored_pixels, report.splits["val"].ignored_pixels) == (48 * 48, 0)
    quick = check(MaskFolderDataModule(tmp_path, class_names=names, num_workers=0), files=False)
    assert quick.counted is None
    assert [kind for kind, _ in found(quick, "error")] == ["mask cannot be used"]  # the first of them
    assert "circle" in describe(report)
    assert "circle" not in describe(quick)


def test_an_image_without_class_cannot_be_classified(tmp_path: Path) -> None:
    write_table(tmp_path, boxes=False)
    shutil.copy(tmp_path / "pictures" / "1.png", tmp_path / "pictures" / "new.png")
    with (tmp_path / "labels.csv").open("a") as file:
        file.write("train,new.png,\n")
    problems = check(CSVDataModule(tmp_path, num_workers=0), files=False).problems
    assert [(problem.severity, problem.kind, Path(problem.file).name, problem.record) for problem in problems] == [
        ("error", "image without class", "new.png", "train"),
        ("warning", "class without objects in training", "pictures", "star"),
        ("warning", "class without objects in training", "pictures", "triangle"),
    ]


def test_segmentation_without_polygons_is_reported_once_for_each_split(tmp_path: Path) -> None:
    edit(write_coco(tmp_path, 4), lambda content: [entry.pop("segmentation") for entry in content["annotations"]])
    report = check(coco(tmp_path, task="segmentation"))
    assert [(problem.severity, problem.kind, problem.record) for problem in report.problems] == [
        ("error", "no polygons or run lengths", "train")
    ]
    assert report.splits["train"].counts.sum() == 0
    assert report.splits["val"].counts.sum() > 0


def test_one_class_leaves_nothing_to_learn(tmp_path: Path) -> None:
    write_folders(tmp_path / "pictures", 4, ("all",))
    report = check(FolderDataModule(tmp_path, num_workers=0), files=False)
    assert ("only one class", "pictures") in [(problem.kind, problem.record) for problem in report.problems]
    assert "only one class" not in str(check(FolderDataModule(tmp_path, "autoencoding"), files=False).problems)


def test_masks_that_a_detector_does_not_learn_are_counted(tmp_path: Path) -> None:
    write_coco(tmp_path, 4)
    for task, boxes in (("detection", True), ("instances", False), ("classification", False)):
        train = check(coco(tmp_path, task=task), files=False).splits["train"]
        assert train.unread_masks == (train.counts.sum() if boxes else 0)


def test_data_in_memory_are_counted(tmp_path: Path) -> None:
    report = check(ShapesDataModule(train_size=12, val_size=4, test_size=4, image_size=(20, 20)))
    assert [split.images for split in report.splits.values()] == [12, 4, 4]
    assert report.problems == []
