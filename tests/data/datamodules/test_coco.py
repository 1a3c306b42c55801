import json
from pathlib import Path
from typing import Literal

import pytest

from tests.data.datamodules.image_sets import write_coco
from visiontasks import COCODataModule
from visiontasks.data.datasets.shapes import CLASS_NAMES


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_validation_may_list_the_categories_otherwise(
    tmp_path: Path, task: Literal["detection", "segmentation"]
) -> None:
    file = write_coco(tmp_path) / "annotations" / "instances_val.json"
    expected = COCODataModule(tmp_path, task).splits["val"].index
    content = json.loads(file.read_text())
    for entry in content["annotations"]:
        entry["category_id"] = 99 - entry["category_id"]
    content["categories"] = [{"id": 99 - entry["id"], "name": entry["name"]} for entry in content["categories"]]
    file.write_text(json.dumps(content))
    found = COCODataModule(tmp_path, task).splits["val"].index
    assert found.class_names == CLASS_NAMES
    assert found.labels.tolist() == expected.labels.tolist()
    assert [found.category_id(label) for label in range(4)] == [96, 86, 76, 66]


def test_given_classes_are_the_order_of_the_labels(tmp_path: Path) -> None:
    names = CLASS_NAMES[::-1]
    data = COCODataModule(write_coco(tmp_path), class_names=names)
    assert data.splits["val"].index.class_names == data.class_names == names
