"""Small data as a newcomer has them, written into the present folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import tifffile
import torch
import torchvision
from PIL import Image

from tests.data.datamodules.image_sets import Shape, save, shapes

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PARTS = ("bolt", "nut", "screw", "washer")


def new_photos() -> None:
    for number, shape in enumerate(shapes(3, seed=9)):
        save(shape.pixels, Path("new_photos", f"{number}.jpg"))


def photos() -> None:
    """A folder for each of three classes, of which one is rare."""
    new_photos()
    for seed, (name, count) in enumerate({"cat": 8, "dog": 8, "fish": 4}.items()):
        for number, shape in enumerate(shapes(count, seed)):
            save(shape.pixels, Path("photos", name, f"{number}.jpg"))


def own_parts() -> None:
    """The file of docs/own_parts.md beside photos."""
    photos()
    shutil.copy(EXAMPLES / "my_parts.py", "my_parts.py")


def published_weights() -> None:
    """Weights of a network of torchvision, as they are downloaded."""
    photos()
    torch.save(torchvision.models.resnet18().state_dict(), "resnet18.pth")


def _pictures(folder: str, count: int = 12) -> list[Shape]:
    new_photos()
    found = shapes(count)
    for number, shape in enumerate(found):
        save(shape.pixels, Path(folder, f"{number}.jpg"))
    return found


def coco_of_one_class() -> None:
    images: list[dict[str, object]] = []
    objects: list[dict[str, object]] = []
    for number, shape in enumerate(_pictures("mine/images")):
        height, width = shape.pixels.shape[:2]
        images.append({"id": number, "file_name": f"{number}.jpg", "height": height, "width": width})
        for x0, y0, x1, y1 in shape.boxes.tolist():
            box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "iscrowd": 0}
            objects.append({"id": len(objects), "image_id": number, "category_id": 1, **box})
    content = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "cell"}]}
    Path("mine/labels.json").write_text(json.dumps(content))


def yolo() -> None:
    Path("mine/labels").mkdir(parents=True)
    for number, shape in enumerate(_pictures("mine/images")):
        height, width = shape.pixels.shape[:2]
        lines = [
            f"{label} {(x0 + x1) / 2 / width} {(y0 + y1) / 2 / height} {(x1 - x0) / width} {(y1 - y0) / height}"
            for (x0, y0, x1, y1), label in zip(shape.boxes.tolist(), shape.labels, strict=True)
        ]
        Path("mine/labels", f"{number}.txt").write_text("\n".join(lines))
    Path("mine/classes.txt").write_text("\n".join(PARTS))


def voc_with_own_names() -> None:
    for number, shape in enumerate(_pictures("mine")):
        height, width = shape.pixels.shape[:2]
        text = f"<annotation><size><width>{width}</width><height>{height}</height></size>"
        for (x0, y0, x1, y1), label in zip(shape.boxes.astype(int).tolist(), shape.labels, strict=True):
            corners = f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
            text += f"<object><name>{PARTS[label]}</name><bndbox>{corners}</bndbox></object>"
        Path("mine", f"{number}.xml").write_text(text + "</annotation>")


def masks_with_void() -> None:
    """Masks of a background and a road, whose left margin is not annotated: 255."""
    for number, shape in enumerate(_pictures("mine/images")):
        mask = (shape.mask > 0).astype(np.uint8)
        mask[:, :8] = 255
        save(mask, Path("mine/masks", f"{number}.png"))


def table_of_boxes() -> None:
    rows = ["file,class,xmin,ymin,xmax,ymax"]
    for number, shape in enumerate(_pictures("mine")):
        rows.append(f"{number}.jpg,{PARTS[shape.label]}," + ",".join(f"{side:.0f}" for side in shape.boxes[0]))
    Path("mine/labels.csv").write_text("\n".join(rows))


def one_hot_table() -> None:
    rows = ["filename,sea,sky,tree"]
    rows += [f"{number}.jpg,{number % 2},{number // 2 % 2},1" for number, _ in enumerate(_pictures("mine"))]
    Path("mine/labels.csv").write_text("\n".join(rows))


def scans(kind: str) -> None:
    """Images of two classes as a scanner makes them.

    Args:
        kind: ``grey``, 8 bits; ``deep``, 12 of 16 bits; ``four``, four channels as TIFF.
    """
    draw = np.random.default_rng(0)
    for name, most in {"dark": 400, "light": 4000}.items():
        folder = Path("scans", name)
        folder.mkdir(parents=True)
        for number in range(6):
            values = draw.integers(0, most, (40, 40, 4))
            if kind == "four":
                tifffile.imwrite(
                    folder / f"{number}.tif",
                    (values // 16).astype(np.uint8),
                    photometric="minisblack",
                    planarconfig="contig",
                )
            else:
                grey = values[..., 0]
                pixels = (grey // 16).astype(np.uint8) if kind == "grey" else grey.astype(np.uint16)
                Image.fromarray(pixels).save(folder / f"{number}.png")


def grey_scans() -> None:
    scans("grey")


def deep_scans() -> None:
    scans("deep")


def four_channels() -> None:
    scans("four")


def other_photos() -> None:
    """Photos, and others that came later, of two of the three classes."""
    photos()
    for seed, name in enumerate(("dog", "cat")):
        for number, shape in enumerate(shapes(2, seed + 5)):
            save(shape.pixels, Path("later", name, f"{number}.jpg"))
