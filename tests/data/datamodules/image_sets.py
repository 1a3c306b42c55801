"""Small data sets of shapes in every form, written from the same pictures."""

import csv
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from visiontasks.data.datasets.shapes import CLASS_NAMES, ShapesDataset

SIZES = ((40, 56), (56, 40), (48, 48))


class Shape(NamedTuple):
    """A picture with its objects."""

    pixels: np.ndarray
    label: int
    boxes: np.ndarray
    labels: list[int]
    mask: np.ndarray


def shapes(count: int, seed: int = 0) -> list[Shape]:
    """Draw pictures; the first object is said to be of one class after the other, so that all occur in four."""
    found = []
    for number in range(count):
        sample = ShapesDataset(1, image_size=SIZES[number % 3], seed=1000 * seed + number, min_objects=1)[0]
        pixels = sample.image.permute(1, 2, 0).numpy().copy()
        boxes, labels = sample.boxes.numpy().round(), [number % 4, *sample.box_labels.tolist()[1:]]
        found.append(Shape(pixels, labels[0], boxes, labels, sample.mask.numpy()))
    return found


def save(pixels: np.ndarray, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def write_folders(root: Path, count: int = 12, splits: tuple[str, ...] = ("train", "val", "test")) -> Path:
    for seed, split in enumerate(splits):
        for number, shape in enumerate(shapes(count, seed)):
            save(shape.pixels, root / split / CLASS_NAMES[shape.label] / f"{number}.png")
    return root


def write_coco(root: Path, count: int = 12, splits: tuple[str, ...] = ("train", "val")) -> Path:
    (root / "annotations").mkdir(parents=True)
    for seed, split in enumerate(splits):
        images: list[dict[str, object]] = []
        things: list[dict[str, object]] = []
        for number, shape in enumerate(shapes(count, seed)):
            save(shape.pixels, root / split / f"{number}.png")
            height, width = shape.pixels.shape[:2]
            images.append({"id": number + 5, "file_name": f"{number}.png", "height": height, "width": width})
            for (x0, y0, x1, y1), label in zip(shape.boxes.tolist(), shape.labels, strict=True):
                box = [x0, y0, x1 - x0, y1 - y0]
                polygon = [[x0, y0, x1, y0, x1, y1, x0, y1]]
                entry = {"id": len(things), "image_id": number + 5, "category_id": 10 * label + 3, "bbox": box}
                things.append({**entry, "area": box[2] * box[3], "iscrowd": 0, "segmentation": polygon})
        categories = [{"id": 10 * label + 3, "name": name} for label, name in enumerate(CLASS_NAMES)]
        content = {"images": images, "annotations": things, "categories": categories}
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return root


def write_voc(root: Path, count: int = 12) -> Path:
    """Write images with an XML file beside each."""
    for number, shape in enumerate(shapes(count)):
        save(shape.pixels, root / f"{number}.png")
        height, width = shape.pixels.shape[:2]
        text = f"<annotation><size><width>{width}</width><height>{height}</height></size>"
        for (x0, y0, x1, y1), label in zip(shape.boxes.astype(int).tolist(), shape.labels, strict=True):
            corners = f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
            text += f"<object><name>{CLASS_NAMES[label]}</name><bndbox>{corners}</bndbox></object>"
        (root / f"{number}.xml").write_text(text + "</annotation>")
    return root


def write_yolo(root: Path, count: int = 12, *, polygons: bool = False) -> Path:
    """Write images and labels in parallel folders, with the data.yaml of Roboflow."""
    for seed, split in enumerate(("train", "valid")):
        (root / split / "labels").mkdir(parents=True)
        for number, shape in enumerate(shapes(count, seed)):
            save(shape.pixels, root / split / "images" / f"{number}.png")
            height, width = shape.pixels.shape[:2]
            text = ""
            for (x0, y0, x1, y1), label in zip(shape.boxes.tolist(), shape.labels, strict=True):
                box = [(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height]
                corners = [x0 / width, y0 / height, x1 / width, y0 / height, x1 / width, y1 / height, x0 / width]
                text += " ".join(map(str, [label, *([*corners, y1 / height] if polygons else box)])) + "\n"
            (root / split / "labels" / f"{number}.txt").write_text(text)
    described = f"train: ../train/images\nval: ../valid/images\n\nnc: 4\nnames: {list(CLASS_NAMES)}\n"
    (root / "data.yaml").write_text(described)
    return root


def write_masks(root: Path, count: int = 12, *, background: int = 0, listed: bool = False) -> Path:
    """Write images and masks in parallel folders, or in lists as CamVid has them."""
    for seed, split in enumerate(("train", "val", "test")):
        lines = []
        for number, shape in enumerate(shapes(count, seed)):
            images, masks = (split, f"{split}annot") if listed else (f"images/{split}", f"masks/{split}")
            save(shape.pixels, root / images / f"{number}.png")
            save(np.where(shape.mask == 0, background, shape.mask).astype(np.uint8), root / masks / f"{number}.png")
            lines.append(f"{images}/{number}.png {masks}/{number}.png")
        if listed:
            (root / f"{split}.txt").write_text("\n".join(lines))
    return root


def write_table(root: Path, count: int = 12, *, boxes: bool = True, split: bool = True) -> Path:
    rows: list[list[object]] = [["split", "filename", "class", *(["xmin", "ymin", "xmax", "ymax"] if boxes else [])]]
    for number, shape in enumerate(shapes(count)):
        save(shape.pixels, root / "pictures" / f"{number}.png")
        name = ("train", "train", "valid", "test")[number % 4]
        things = zip(shape.boxes.tolist(), shape.labels, strict=True) if boxes else [([], shape.label)]
        rows += [[name, f"{number}.png", CLASS_NAMES[label], *box] for box, label in things]
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows(row if split else row[1:] for row in rows)
    return root
