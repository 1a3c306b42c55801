"""YOLO's form: ``data.yaml``, lists of images, and a text file of labels for each image."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from jaxtyping import Float64

from visiontasks.data.converting.content import Content, Picture
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.yolo_files import label_name
from visiontasks.errors import ArgumentError, DataError

_Polygon = Float64[np.ndarray, "_"]


def write_yolo(content: Content, folder: Path) -> None:
    """Write labels as boxes or, if the polygons are learnt, as polygons; numbers have all their digits.

    The splits are lists of images, so that their order is kept. Ignored objects are left out. An object of several
    polygons becomes one, joined by lines of no width, and polygons are clipped to their image.

    Args:
        content: What to write.
        folder: Where to write ``data.yaml``, the lists, and ``labels``.

    Raises:
        ArgumentError: If there are no polygons to write.
        DataError: If an image has other objects in another split.
    """
    if content.polygons and all(index.segments is None for index in content.indices.values()):
        message = "the annotations have no polygons to write; --data.task detection writes their boxes."
        raise ArgumentError(message)
    if not content.polygons:
        content.omit_areas()
        content.omit_segments()
    written: dict[str, str] = {}
    for split, index in content.indices.items():
        names = []
        for picture in content.pictures(split):
            names.append(f"./images/{picture.name}\n")
            kept = content.omit_marks(picture)
            lines = _polygons(content, index, picture, kept) if content.polygons else _boxes(picture, kept)
            text = "".join(f"{picture.labels[row]} {' '.join(map(repr, values))}\n" for row, values in lines)
            if written.setdefault(picture.name, text) != text:
                message = f"{picture.name!r} is in two splits with other objects; take it out of one of them."
                raise DataError(message)
            file = folder / label_name(f"images/{picture.name}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        (folder / f"{split}.txt").write_text("".join(names), encoding="utf-8")
    described = {
        **{split: f"{split}.txt" for split in content.indices},
        "nc": len(content.class_names),
        "names": dict(enumerate(content.class_names)),
    }
    text = yaml.safe_dump(described, allow_unicode=True, sort_keys=False)
    (folder / "data.yaml").write_text(text, encoding="utf-8")


def join_polygons(polygons: Sequence[_Polygon]) -> _Polygon:
    """Join polygons into one: each starts and ends where a line of no width leads to it from the first.

    The polygon covers the same pixels as rasterised by pycocotools, if the parts do not overlap.

    Args:
        polygons: x, y, x, y, ... of each.
    """
    start = polygons[0][:2]
    closed = [np.concatenate([polygon, polygon[:2], start]) for polygon in polygons[1:]]
    return np.concatenate([polygons[0], start, *closed]) if closed else polygons[0]


def _boxes(picture: Picture, kept: Sequence[int]) -> list[tuple[int, list[float]]]:
    assert picture.boxes is not None
    corners = picture.boxes[kept] / np.tile(picture.size[::-1], 2)
    centers, sides = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    return list(zip(kept, np.hstack([centers, sides]).tolist(), strict=True))


def _polygons(
    content: Content, index: ImageIndex, picture: Picture, kept: Sequence[int]
) -> list[tuple[int, list[float]]]:
    lines = []
    for row in kept:
        polygons = [] if index.segments is None else index.segments.polygons(picture.rows[row])
        if not polygons:
            content.omitted["objects without polygons"] += 1
            continue
        content.omitted["objects of several polygons, which were joined"] += len(polygons) > 1
        fractions = join_polygons(polygons).reshape(-1, 2) / picture.size[::-1]
        clipped = fractions.clip(0, 1)
        content.omitted["objects whose polygons reach out of the image, which were clipped"] += bool(
            (clipped != fractions).any()
        )
        lines.append((row, clipped.ravel().tolist()))
    return lines
