"""Data sets converted to each form and read again: the same boxes, and the same batches."""

import json
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.data.datamodules.image_sets import write_coco, write_table, write_voc, write_yolo
from tests.data.index.yolo_writer import boxes_of
from visiontasks import COCODataModule, CSVDataModule, VOCDataModule, YOLODataModule
from visiontasks.data.converting.convert import FORMATS, convert
from visiontasks.data.lightning_modules import FileDataModule

READERS: dict[str, type[FileDataModule]] = {
    "YOLODataModule": YOLODataModule,
    "COCODataModule": COCODataModule,
    "VOCDataModule": VOCDataModule,
    "CSVDataModule": CSVDataModule,
}
SMALL: dict[str, Any] = {"num_workers": 0, "batch_size": 3, "shorter": 40, "longer": 64, "seed": 5}


def again(data: FileDataModule, form: str, folder: Path, **options: Any) -> FileDataModule:  # noqa: ANN401 (arguments)
    """Convert a data set, and read the result as the conversion says."""
    done = convert(data, form, folder)
    assert not done.omitted
    return READERS[str(done.options.pop("data"))](**{**done.options, **options})


def splits_of(data: FileDataModule) -> list[str]:
    return [split for split in ("train", "val", "test") if data.splits.origin(split) != "val"]


def require_same(found: FileDataModule, data: FileDataModule, tolerance: float = 0.0) -> None:
    """Require the same images, objects and classes in the same order; boxes may differ by some pixels."""
    assert splits_of(found) == splits_of(data)
    assert found.class_names == data.class_names
    for split in splits_of(data):
        index, expected = found.splits[split].index, data.splits[split].index
        assert not found.splits[split].problems
        assert [index.file(image).read_bytes() for image in range(len(index))] == [
            expected.file(image).read_bytes() for image in range(len(expected))
        ]
        for name in ("offsets", "labels", "ignore"):
            np.testing.assert_array_equal(getattr(index, name), getattr(expected, name), name)
        boxes, expected_boxes = boxes_of(index), boxes_of(expected)
        np.testing.assert_allclose(boxes, expected_boxes, rtol=0, atol=tolerance)
        np.testing.assert_allclose(boxes, expected_boxes, rtol=1e-6, atol=1e-9)


def require_same_batches(found: FileDataModule, data: FileDataModule, count: int = 3) -> None:
    """Require that the first batches of training, validation and test are the same, bit for bit."""
    for stage in ("fit", "test"):
        found.setup(stage)
        data.setup(stage)
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        loaders = [getattr(each, name)() for each in (found, data)]
        for loader in loaders:
            loader.sampler.set_epoch(0)
        batches: Sequence[Any] = list(islice(loaders[0], count))
        for batch, expected in zip(batches, islice(loaders[1], count), strict=True):
            for field, value in expected._asdict().items():
                assert torch.equal(getattr(batch, field), value), f"{name}: {field}"


def coco_of_boxes(root: Path) -> Path:
    """Write a COCO set without polygons, which the other forms do not hold."""
    for file in (write_coco(root, 6) / "annotations").iterdir():
        content = json.loads(file.read_text())
        for entry in content["annotations"]:
            del entry["segmentation"]
        file.write_text(json.dumps(content))
    return root


SOURCES: dict[str, Callable[[Path], FileDataModule]] = {
    "coco": lambda root: COCODataModule(coco_of_boxes(root), **SMALL),
    "voc": lambda root: VOCDataModule(write_voc(root, 10), **SMALL),
    "yolo": lambda root: YOLODataModule(write_yolo(root, 6), **SMALL),
    "csv": lambda root: CSVDataModule(write_table(root, 12), "detection", **SMALL),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_detector_gets_the_same_batches_from_every_form(source: str, form: str, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    data = SOURCES[source](tmp_path / "set")
    found = again(data, form, tmp_path / "out", **SMALL)
    require_same(found, data)
    require_same_batches(found, data)


@pytest.mark.parametrize(("form", "tolerance"), [("yolo", 1e-9), ("coco", 0.0), ("voc", 1e-12), ("csv", 0.0)])
def test_boxes_of_any_fractions_come_back(form: str, tolerance: float, tmp_path: Path) -> None:
    write_table(tmp_path / "set", 12)
    generator = np.random.default_rng(0)
    table = tmp_path / "set" / "labels.csv"
    header, *rows = (line.split(",") for line in table.read_text().splitlines())
    rows = [row[:3] for row in rows for _ in range(30)]
    for row in rows:
        low, sides = generator.uniform(0, 20, 2), 10.0 ** generator.uniform(0.1, 1.2, 2)
        row += map(repr, [*low.tolist(), *(low + sides).tolist()])
    table.write_text("\n".join(map(",".join, [header, *rows])))
    data = CSVDataModule(tmp_path / "set", "detection", **SMALL)
    require_same(again(data, form, tmp_path / "out", **SMALL), data, tolerance)


@pytest.mark.parametrize("task", ["segmentation", "instances"])
def test_polygons_come_back_through_yolo_and_coco(task: str, tmp_path: Path) -> None:
    write_coco(tmp_path / "set", 6)
    options: dict[str, Any] = {"task": task, "num_workers": 0, "batch_size": 2, "image_size": (32, 32)}
    data = COCODataModule(tmp_path / "set", **options)
    labels = convert(data, "yolo", tmp_path / "yolo")
    assert labels.options["task"] == task
    found = YOLODataModule(tmp_path / "yolo", **options)
    back = again(found, "coco", tmp_path / "coco", **options)
    names = ("circle", "square", "triangle", "star")
    expected_names = ("background", *names) if task == "segmentation" else names
    assert back.class_names == data.class_names == expected_names
    for other in (found, back):
        for split in ("train", "val"):
            index, expected = other.splits[split].index, data.splits[split].index
            np.testing.assert_allclose(boxes_of(index), boxes_of(expected), rtol=0, atol=1e-9)
            for image in range(len(expected)):
                masks = expected.instance_masks(image)
                assert masks.any()
                np.testing.assert_array_equal(index.instance_masks(image), masks)
        require_same_batches(other, data)


def test_blood_cells_come_back_through_every_form(data_root: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {**SMALL, "shorter": 120, "longer": 160, "batch_size": 4}
    voc = VOCDataModule(data_root / "BCCD", class_names=["RBC", "WBC", "Platelets"], **options)
    coco = COCODataModule(data_root / "BCCD", **options)
    assert [len(voc.splits[split].index.labels) for split in ("train", "val", "test")] == [2804, 1137, 945]
    for form in FORMATS:
        found = again(voc, form, tmp_path / form, **options)
        require_same(found, voc)
        require_same_batches(found, coco)
    require_same(again(YOLODataModule(tmp_path / "yolo"), "coco", tmp_path / "back"), coco)
