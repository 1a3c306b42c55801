from pathlib import Path

import numpy as np
import pytest
import yaml
from pycocotools import mask as coco_mask

from tests.data.converting.sources import change, write
from tests.data.datamodules.image_sets import write_coco
from visiontasks import COCODataModule
from visiontasks.data.converting.convert import convert
from visiontasks.data.converting.yolo import join_polygons
from visiontasks.errors import ArgumentError


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
    polygon = [[-3.5, 4.25, 23.5, 4.25, 23.5, 31]]
    change(source, lambda content: content["annotations"][0].update(segmentation=polygon))
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


def test_polygons_that_are_not_there_are_refused(source: Path) -> None:
    change(source, lambda content: [entry.pop("segmentation") for entry in content["annotations"]])
    with pytest.raises(ArgumentError, match=r"no polygons to write; --data\.task detection writes their boxes"):
        write(source, "yolo", "segmentation")
    assert not (source.parent / "yolo").exists()
