"""What drawn masks show, through the check of a data set."""

import json
from pathlib import Path
from typing import Any

import pytest
from pycocotools import mask as coco_mask

from tests.data.datamodules.image_sets import write_coco
from visiontasks import COCODataModule
from visiontasks.cli.check import describe
from visiontasks.data.check import Report, check


def checked(root: Path, change: Any, *, files: bool = True) -> Report:  # noqa: ANN401 (of the annotations)
    file = write_coco(root) / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return check(COCODataModule(root, "instances", num_workers=0), files=files)


def test_objects_and_masks_are_counted(tmp_path: Path) -> None:
    report = checked(tmp_path, lambda content: None)
    count = report.splits["train"].counts.sum()
    assert report.exit_code == 0, report.problems
    assert report.splits["train"].masks == count
    text = describe(report)
    rows = {line.split("  ")[0]: line.split() for line in text.splitlines()}
    assert rows["masks"][1:] == [str(split.counts.sum()) for split in report.splits.values()]
    assert rows["objects without mask"][3:] == ["0", "0"]


@pytest.mark.parametrize("files", [False, True])
def test_objects_without_a_mask_are_counted_and_named(files: bool, tmp_path: Path) -> None:
    def change(content: Any) -> None:  # noqa: ANN401 (JSON)
        content["annotations"][0]["segmentation"] = []
        del content["annotations"][1]["segmentation"]

    report = checked(tmp_path, change, files=files)
    assert report.splits["train"].masks == report.splits["train"].counts.sum() - 2
    kinds = [(problem.severity, problem.kind) for problem in report.problems]
    assert kinds == [("warning", "object without segmentation")] * 2
    assert "objects without mask" in describe(report)


def test_masks_that_are_blank_or_elsewhere_are_found_when_they_are_drawn(tmp_path: Path) -> None:
    def change(content: Any) -> None:  # noqa: ANN401 (JSON)
        first, second = content["annotations"][:2]
        first["segmentation"] = [[5.1, 5.1, 5.2, 5.1, 5.2, 5.2]]
        x, y, *_ = second["bbox"]
        corner = [0, 0, 3, 0, 3, 3, 0, 3] if min(x, y) > 3 else [36, 36, 40, 36, 40, 40, 36, 40]
        second["segmentation"] = [[float(value) for value in corner]]

    report = checked(tmp_path, change)
    found = {problem.kind: problem for problem in report.problems}
    assert {*found} == {"masks without a pixel", "masks outside of their boxes"}
    assert all(problem.severity == "warning" for problem in found.values())
    assert found["masks without a pixel"].value.startswith("1 objects, the first in '")
    assert report.splits["train"].masks == report.splits["train"].counts.sum() - 1


def test_run_lengths_of_an_image_whose_size_is_not_stated_are_found(tmp_path: Path) -> None:
    def change(content: Any) -> None:  # noqa: ANN401 (JSON)
        del content["images"][0]["width"], content["images"][0]["height"]
        runs = coco_mask.frPyObjects([[1.0, 1, 9, 1, 9, 9]], 100, 90)[0]["counts"].decode()
        content["annotations"][0]["segmentation"] = {"size": [100, 90], "counts": runs}

    (problem,) = checked(tmp_path, change).problems
    assert (problem.severity, problem.kind) == ("error", "masks cannot be used")
    assert "run lengths do not fill its 40 x 56 pixels (their sum is 9000)" in problem.value


@pytest.mark.parametrize("files", [False, True])
def test_data_without_masks_are_an_error_that_says_what_is_needed(files: bool, tmp_path: Path) -> None:
    def change(content: Any) -> None:  # noqa: ANN401 (JSON)
        for entry in content["annotations"]:
            del entry["segmentation"]

    report = checked(tmp_path, change, files=files)
    assert report.exit_code == 2
    (problem,) = report.problems
    assert (problem.kind, problem.record) == ("no polygons or run lengths", "train")
    assert "task='detection'" in problem.remedy
