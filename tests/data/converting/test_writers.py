"""What each form holds, and what is left out and counted."""

import csv
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from tests.data.datamodules.image_sets import write_coco, write_folders, write_masks
from tests.data.index.coco_writer import small_set
from visiontasks import COCODataModule, CSVDataModule, FolderDataModule, MaskFolderDataModule, VOCDataModule
from visiontasks.data.converting.convert import Conversion, convert
from visiontasks.data.converting.yolo import join_polygons
from visiontasks.errors import ArgumentError, DataError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONTASKS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Write three images and six objects: polygons, several parts, run lengths, a crowd, large ids, empty image."""
    content = small_set()
    for image in content["images"]:
        file = tmp_path / "set" / "train" / image["file_name"]
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (image["width"], image["height"])).save(file)
    for split in ("train", "val"):
        (tmp_path / "set" / f"{split}.json").write_text(json.dumps(content))
    return tmp_path / "set"


def write(source: Path, form: str, task: Any = "detection") -> tuple[Path, Conversion]:  # noqa: ANN401 (a task)
    folder = source.parent / form
    return folder, convert(COCODataModule(source, task), form, folder)


def test_coco_holds_everything(source: Path) -> None:
    folder, done = write(source, "coco")
    assert not done.omitted
    assert done.images == {"train": 3, "val": 3}
    expected = small_set()
    written = json.loads((folder / "annotations" / "instances_train.json").read_text())
    assert {entry["id"]: entry["file_name"] for entry in written["images"]} == {
        7: "a b.jpg",
        2**53 + 1: "naïve 😀.jpg",
        0: "empty.jpg",
    }
    classes = {entry["id"]: entry["name"] for entry in written["categories"]}
    assert classes == {1: "person", 3: "car", 90: "toothbrush"}
    objects = {entry["id"]: entry for entry in written["annotations"]}
    for entry in expected["annotations"]:
        found = objects[entry["id"]]
        for name in ("image_id", "category_id", "area", "iscrowd"):
            assert found[name] == entry[name], name
        assert found["bbox"] == pytest.approx(entry["bbox"], rel=1e-14)
        if isinstance(entry["segmentation"], list):
            assert found["segmentation"] == entry["segmentation"]
    opened = COCO(folder / "annotations" / "instances_train.json")
    assert opened.annToMask(objects[5]).sum() == 50


def test_classes_in_another_order_get_other_ids(source: Path) -> None:
    data = COCODataModule(source, class_names=["car", "bird", "person", "toothbrush"])
    convert(data, "coco", source.parent / "coco")
    found = COCODataModule(source.parent / "coco")
    assert found.class_names == data.class_names
    np.testing.assert_array_equal(found.splits["train"].index.labels, data.splits["train"].index.labels)


def test_yolo_holds_boxes_of_objects_that_are_not_ignored(source: Path) -> None:
    folder, done = write(source, "yolo")
    assert done.omitted == {
        "areas that are not those of the boxes": 12,
        "polygons of objects": 8,
        "run lengths of objects": 4,
        "objects that are ignored (crowd, difficult)": 2,
    }
    assert yaml.safe_load((folder / "data.yaml").read_text()) == {
        "train": "train.txt",
        "val": "val.txt",
        "nc": 3,
        "names": {0: "person", 1: "car", 2: "toothbrush"},
    }
    assert (folder / "train.txt").read_text().splitlines() == [
        "./images/a b.jpg",
        "./images/naïve 😀.jpg",
        "./images/empty.jpg",
    ]
    assert (folder / "labels" / "empty.txt").read_text() == ""
    rows = np.loadtxt(folder / "labels" / "naïve 😀.txt")
    np.testing.assert_allclose(rows, [[2, 0.27, 9.5 / 30, 0.4, 0.35], [1, 0.9, 25 / 30, 0.2, 10 / 30]], rtol=1e-15)


def test_yolo_holds_polygons_in_segmentation(source: Path) -> None:
    folder, done = write(source, "yolo", "segmentation")
    assert done.omitted == {
        "objects that are ignored (crowd, difficult)": 2,
        "objects of several polygons, which were joined": 2,
        "objects without polygons": 2,
    }
    lines = [line.split() for line in (folder / "labels" / "a b.txt").read_text().splitlines()]
    assert [len(line) for line in lines] == [1 + 6 + 2 + 6 + 4, 1 + 8]
    data = convert(COCODataModule(write_coco(source.parent / "more"), "segmentation"), "yolo", source.parent / "b")
    assert not data.omitted


def test_polygons_that_reach_out_are_clipped_and_counted(source: Path) -> None:
    for split in ("train", "val"):
        content = small_set()
        content["annotations"][0]["segmentation"] = [[-3.5, 4.25, 23.5, 4.25, 23.5, 31]]
        (source / f"{split}.json").write_text(json.dumps(content))
    folder, done = write(source, "yolo", "segmentation")
    assert done.omitted["objects whose polygons reach out of the image, which were clipped"] == 2
    rows = (folder / "labels" / "naïve 😀.txt").read_text().splitlines()
    assert rows[0].split() == ["2", "0.0", repr(4.25 / 30), "0.47", repr(4.25 / 30), "0.47", "1.0"]


def test_joined_polygons_cover_the_pixels_of_all_parts() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        parts = []
        for column in range(3):  # beside one another
            angles = np.sort(generator.uniform(0, 2 * np.pi, 7))
            points = np.stack([np.cos(angles), np.sin(angles)], 1) * generator.uniform(4, 15, (7, 1))
            parts.append((points + np.array([20 + 35 * column, generator.uniform(16, 44)])).ravel())
        apart = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(parts, 60, 110)))
        joined = coco_mask.decode(coco_mask.frPyObjects([join_polygons(parts)], 60, 110))[..., 0]
        np.testing.assert_array_equal(joined, apart)


def test_voc_holds_boxes_and_marks_the_ignored(source: Path) -> None:
    folder, done = write(source, "voc")
    assert done.omitted == {
        "areas that are not those of the boxes": 12,
        "polygons of objects": 8,
        "run lengths of objects": 4,
    }
    root = ElementTree.parse(folder / "Annotations" / "a b.xml").getroot()
    assert [root.findtext(f"size/{name}") for name in ("width", "height", "depth")] == ["60", "40", "3"]
    found = {
        (thing.findtext("name"), thing.findtext("difficult"), *(side.text for side in thing.find("bndbox") or ()))
        for thing in root.iterfind("object")
    }
    assert ("person", "1", "1", "1", "60", "40") in found
    assert ("car", "0", "11.01", "13.3", repr(10.01 + 30.5), repr(12.3 + 20.25)) in found
    assert (folder / "ImageSets" / "Main" / "train.txt").read_text() == "a b\nnaïve 😀\nempty\n"


def test_boxes_of_a_pixel_are_no_boxes_in_voc(source: Path) -> None:
    for split in ("train", "val"):
        content = small_set()
        content["annotations"][0]["bbox"] = [3, 3, 1, 20]
        (source / f"{split}.json").write_text(json.dumps(content))
    folder, done = write(source, "voc")
    assert done.omitted["boxes of at most a pixel"] == 2
    found = VOCDataModule(folder, class_names=["person", "car", "toothbrush"]).splits["train"]
    assert not found.problems
    assert len(found.index.labels) == 5


def test_a_table_has_rows_of_objects_and_of_empty_images(source: Path) -> None:
    folder, done = write(source, "csv")
    assert done.omitted["objects that are ignored (crowd, difficult)"] == 2
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    assert [row["class"] for row in rows] == ["car", "toothbrush", "person", "toothbrush", "car", ""]
    assert (rows[0]["xmin"], rows[0]["xmax"]) == ("10.01", repr(10.01 + 30.5))
    assert (rows[-1]["file"], rows[-1]["xmin"], rows[-1]["height"]) == ("empty.jpg", "", "20")


def test_classes_alone_are_a_table(tmp_path: Path) -> None:
    data = FolderDataModule(write_folders(tmp_path / "set", 8))
    done = convert(data, "csv", tmp_path / "csv")
    assert not done.omitted
    found = CSVDataModule(tmp_path / "csv", class_names=data.class_names)
    for split in ("train", "val", "test"):
        np.testing.assert_array_equal(found.splits[split].index.labels, data.splits[split].index.labels)
    with pytest.raises(ArgumentError, match="has no boxes, which format 'voc' is made of"):
        convert(data, "voc", tmp_path / "voc")


def test_masks_in_files_are_refused(tmp_path: Path) -> None:
    data = MaskFolderDataModule(write_masks(tmp_path / "set"), class_names=["a", "b", "c", "d", "e"])
    with pytest.raises(ArgumentError, match="masks in files, which none of the forms holds"):
        convert(data, "coco", tmp_path / "coco")


def test_polygons_that_are_not_there_are_refused(source: Path) -> None:
    for split in ("train", "val"):
        content = small_set()
        for entry in content["annotations"]:
            del entry["segmentation"]
        (source / f"{split}.json").write_text(json.dumps(content))
    with pytest.raises(ArgumentError, match=r"no polygons to write; --data\.task detection writes their boxes"):
        write(source, "yolo", "segmentation")
    assert not (source.parent / "yolo").exists()


@pytest.mark.parametrize("form", ["yolo", "voc"])
def test_an_image_of_two_splits_has_the_same_objects_in_both(source: Path, form: str) -> None:
    content = small_set()
    del content["annotations"][0]
    (source / "val.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"'naïve 😀\.jpg' is in two splits with other objects"):
        write(source, form)


def test_names_that_xml_cannot_contain_are_refused(source: Path) -> None:
    for split in ("train", "val"):
        content = small_set()
        content["categories"][1]["name"] = "a\x07"
        (source / f"{split}.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="holds characters that XML cannot contain"):
        write(source, "voc")
