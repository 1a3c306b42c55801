import json
import re
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from tests.data.datamodules.image_sets import write_coco
from tests.test_instance_masks import drawn
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


def test_the_example_of_the_documentation_has_the_masks_that_it_shows(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "your_own_data.md").read_text()
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / "labels.json").write_text(example)
    (tmp_path / "images").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "images" / "1.jpg")
    index = COCODataModule(tmp_path, "instances", fractions=(1, 0, 0)).splits["train"].index
    expected = np.zeros((2, 40, 60), np.uint8)
    expected[0, 4:20, 5:25] = 1
    expected[1, 10:18, 30:32] = 1
    np.testing.assert_array_equal(drawn(*index.packed_masks(0, (40, 60)), (40, 60)), expected)
    assert index.objects(0).boxes is not None
    np.testing.assert_array_equal(index.objects(0).boxes, [[5, 4, 25, 20], [30, 10, 32, 18]])
