"""A small data set in COCO's form, with everything that its annotations may hold."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from visiontasks.data.index.coco import CocoFile
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.problems import Problem

Content = dict[str, list[dict[str, Any]]]


def small_set() -> Content:
    """Three images and six objects: polygons, several parts, both forms of run lengths, a crowd, ids 0 and huge."""
    return {
        "images": [
            {"id": 7, "file_name": "a b.jpg", "height": 40, "width": 60, "license": 1},
            {"id": 2**53 + 1, "file_name": "sub/naïve 😀.jpg", "height": 30, "width": 50},
            {"id": 0, "file_name": "empty.jpg", "height": 20, "width": 20},
        ],
        "annotations": [
            thing(0, 2**53 + 1, 90, [3.5, 4.25, 20, 10.5], segmentation=[[3.5, 4.25, 23.5, 4.25, 23.5, 14.75]]),
            thing(5, 7, 1, [0, 0, 60, 40], segmentation={"counts": [100, 50, 2250], "size": [40, 60]}, iscrowd=1),
            thing(
                6, 7, 3, [10.01, 12.3, 30.5, 20.25], segmentation=[[10.01, 12.3, 40.5, 12, 20, 32], [1, 1, 5, 1, 5, 9]]
            ),
            thing(2**60, 7, 90, [5, 5, 4, 4], segmentation=compressed_square()),
            thing(9, 7, 1, [1 / 3, 2.5, 7.125, 8], segmentation=[[1 / 3, 2.5, 7.4, 2.5, 7.4, 10.5, 1 / 3, 10.5]]),
            thing(10, 2**53 + 1, 3, [40, 20, 10, 10], segmentation=[[40, 20, 50, 20, 50, 30, 40, 30]]),
        ],
        "categories": [
            {"id": 90, "name": "toothbrush", "supercategory": "indoor"},
            {"id": 1, "name": "person"},
            {"id": 3, "name": "car"},
        ],
    }


def compressed_square() -> dict[str, Any]:
    """Compress a mask as COCO does."""
    mask = np.zeros((40, 60), np.uint8, order="F")
    mask[5:9, 5:9] = 1
    encoded = coco_mask.encode(mask)
    return {"size": [40, 60], "counts": encoded["counts"].decode()}


def thing(number: int, image: int, category: int, bbox: list[Any], **fields: Any) -> dict[str, Any]:  # noqa: ANN401 (JSON)
    """Write an annotation."""
    area = bbox[2] * bbox[3] * 0.5 if len(bbox) == 4 and not isinstance(bbox[2], str) else 1.0
    record = {"id": number, "image_id": image, "category_id": category, "bbox": bbox, "area": area, "iscrowd": 0}
    return record | fields


def write(folder: Path, content: object) -> Path:
    """Write the annotations and empty image files; return the json file."""
    for image in content["images"] if isinstance(content, dict) else ():
        name = image.get("file_name", "")
        if isinstance(name, str) and name and ".." not in name and not name.startswith("/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
    file = folder / "instances.json"
    file.write_text(json.dumps(content))
    return file


def parse(folder: Path, content: object) -> tuple[ImageIndex, list[Problem]]:
    """Write and parse; return the index and what is wrong."""
    parsed = CocoFile(write(folder, content), folder).parse()
    return parsed.index, list(parsed.problems)


def only(problems: Sequence[Problem]) -> Problem:
    """Return the one problem that there is."""
    (problem,) = problems
    return problem
