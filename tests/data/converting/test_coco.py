import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from tests.data.converting.sources import write
from tests.data.index.coco_writer import small_set
from visiontasks import COCODataModule
from visiontasks.data.converting.convert import convert


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
