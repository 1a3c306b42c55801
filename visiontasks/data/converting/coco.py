"""COCO's form: a JSON file for each split."""

from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from visiontasks.data.converting.content import Content, Picture
from visiontasks.data.index.packed import ImageIndex


def write_coco(content: Content, folder: Path) -> None:
    """Write everything: boxes with all their digits, areas, polygons, run lengths, and ignored objects as crowds.

    Ids are those of the data if they are from a COCO file; otherwise images, objects and classes are numbered from 1.

    Args:
        content: What to write.
        folder: Where to write ``annotations/instances_SPLIT.json``.
    """
    (folder / "annotations").mkdir()
    for split, index in content.indices.items():
        categories = _category_ids(index)
        numbers = count(1)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for image, picture in content.numbered(split):
            number = image + 1 if index.object_ids is None else index.image_id(image)
            height, width = picture.size
            images.append({"id": number, "file_name": picture.name, "height": height, "width": width})
            for entry, row in zip(_objects(index, picture), picture.rows, strict=True):
                identifier = next(numbers) if index.object_ids is None else int(index.object_ids[row])
                category = categories[int(index.labels[row])]
                annotations.append({"id": identifier, "image_id": number, "category_id": category, **entry})
        named = [{"id": number, "name": name} for number, name in zip(categories, content.class_names, strict=True)]
        whole = {"images": images, "annotations": annotations, "categories": named}
        (folder / "annotations" / f"instances_{split}.json").write_bytes(msgspec.json.encode(whole))


def _category_ids(index: ImageIndex) -> list[int]:
    """Return the ids of the classes; the classes are read in the order of these ids."""
    identifiers = [index.category_id(label) for label in range(len(index.class_names))]
    ids = [identifier for identifier in identifiers if isinstance(identifier, int) and identifier >= 0]
    own = index.object_ids is not None and len(ids) == len(identifiers) and ids == sorted(set(ids))
    return ids if own else list(range(1, 1 + len(identifiers)))


def _objects(index: ImageIndex, picture: Picture) -> list[dict[str, Any]]:
    assert picture.boxes is not None
    areas = (picture.boxes[:, 2:] - picture.boxes[:, :2]).prod(1) if index.areas is None else index.areas[picture.rows]
    low, high = picture.boxes[:, :2], picture.boxes[:, 2:]
    # Reading adds the sides again, which gives the same corners: sides are never longer than the farther corner.
    columns = (np.hstack([low, high - low]).tolist(), areas.tolist(), picture.ignore.tolist(), picture.rows)
    entries = []
    for box, area, ignored, row in zip(*columns, strict=True):
        segmentation: Any = []
        if index.segments is not None:
            if runs := index.segments.runs[row]:
                segmentation = {"size": list(picture.size), "counts": runs}
            else:
                segmentation = [polygon.tolist() for polygon in index.segments.polygons(row)]
        entries.append({"bbox": box, "area": area, "iscrowd": int(ignored), "segmentation": segmentation})
    return entries
