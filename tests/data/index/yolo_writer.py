"""Small data sets in YOLO's form."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.problems import Problem
from visiontasks.data.index.yolo import YoloLabels
from visiontasks.data.index.yolo_lines import KeyPoints

NAMES = ("cat", "dog")


def write(root: Path, labels: Mapping[str, str | None], size: tuple[int, int] = (80, 40)) -> Path:
    """Write images of a (width, height), by stem, and their labels in a parallel folder; None writes no file."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "labels").mkdir(exist_ok=True)
    for stem, text in labels.items():
        Image.new("RGB", size).save(root / "images" / f"{stem}.png")
        if text is not None:
            (root / "labels" / f"{stem}.txt").write_text(text)
    return root


def parse(root: Path, *places: str, key_points: KeyPoints | None = None) -> tuple[ImageIndex, list[Problem]]:
    """Parse the images in folders and lists; return the index and what is wrong."""
    folders = tuple(root / place for place in places or ("images",))
    parsed = YoloLabels(root, folders, NAMES, key_points=key_points).parse()
    return parsed.index, list(parsed.problems)


def boxes_of(index: ImageIndex) -> np.ndarray:
    """Return the boxes, which an index of labels always has."""
    assert index.boxes is not None
    return index.boxes
