"""The bad inputs that users have, each with what a check says of it and what comes of training."""

import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image
from torch import Tensor

from tests.data.datamodules.image_sets import shapes

Damage = Callable[[Path], object]
NAMES = "[ground,circle,square,triangle,star]"
FORMS = {
    "coco": "--data COCODataModule --data.shorter 40 --data.longer 64",
    "voc": "--data VOCDataModule --data.shorter 40 --data.longer 64",
    "folders": "--data FolderDataModule --data.image_size [24,24]",
    "masks": f"--data MaskFolderDataModule --data.class_names {NAMES} --data.image_size [32,32]",
    "yolo": "--data YOLODataModule --data.shorter 40 --data.longer 64",
    "table": "--data CSVDataModule --data.task detection --data.shorter 40 --data.longer 64",
}


class Case(NamedTuple):
    """A data set with something in it.

    Attributes:
        form: Key of ``FORMS``.
        damage: What is done to a good data set.
        code: Exit code of the check.
        found: What it prints.
        refused: What ``fit`` prints where it refuses; "" where it trains.
        counted: What ``fit`` says it dropped.
        holds: What is true of the training batch.
        flags: More of the command line.
    """

    form: str
    damage: Damage
    code: int
    found: str = ""
    refused: str = ""
    counted: str = ""
    holds: Callable[[Any], Any] = lambda batch: True
    flags: str = ""


def edit(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Change the training annotations of a COCO set."""

    def damage(root: Path) -> None:
        file = root / "annotations" / "instances_train.json"
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))

    return damage


def thing(**fields: object) -> Damage:
    """Change the first object of a COCO set."""
    return edit(lambda content: content["annotations"][0].update(fields))


def boxes(change: Callable[[list[float]], list[float]]) -> Damage:
    """Change every box of a COCO set."""
    return edit(lambda content: [entry.update(bbox=change(entry["bbox"])) for entry in content["annotations"]])


def image(**fields: object) -> Damage:
    """Change the record of the first image of a COCO set."""
    return edit(lambda content: content["images"][0].update(fields))


def replace(old: str, new: str, only: str = "*.xml") -> Damage:
    """Change the text of XML files."""

    def damage(root: Path) -> None:
        for file in root.glob(only):
            text = file.read_text()
            assert old in text
            file.write_text(text.replace(old, new))

    return damage


def picture(save: Callable[[Image.Image, Path], object], name: str = "0.png") -> Damage:
    """Write the first training image of a COCO set in another way, perhaps under another name."""

    def damage(root: Path) -> None:
        with Image.open(root / "train" / "0.png") as opened:
            opened.load()
            (root / "train" / "0.png").unlink()
            save(opened, root / "train" / name)
        image(file_name=name)(root)

    return damage


def cut(path: str, share: float) -> Damage:
    """Leave the first part of a file."""

    def damage(root: Path) -> None:
        content = (root / path).read_bytes()
        (root / path).write_bytes(content[: int(len(content) * share)])

    return damage


def mask(values: Callable[[np.ndarray], Image.Image], name: str = "0.png") -> Damage:
    """Write the first training mask in another way."""

    def damage(root: Path) -> None:
        file = root / "masks" / "train" / "0.png"
        changed = values(np.array(Image.open(file)))
        file.unlink()
        changed.save(file.with_name(name))

    return damage


def write(path: str, content: bytes | str) -> Damage:
    """Write a file."""
    return lambda root: (root / path).write_bytes(content if isinstance(content, bytes) else content.encode())


def make(path: str) -> Damage:
    """Make a folder."""

    def damage(root: Path) -> None:
        (root / path).mkdir()

    return damage


def several(*damages: Damage) -> Damage:
    """Do one after the other."""
    return lambda root: [damage(root) for damage in damages]


def rename(old: str, new: str | bytes) -> Damage:
    """Give a file another name."""
    return lambda root: (root / old).rename((root / old).with_name(os.fsdecode(new)))


def copy(old: str, new: str) -> Damage:
    """Copy a file."""
    return lambda root: shutil.copy(root / old, root / new)


def turned(opened: Image.Image, path: Path) -> None:
    """Store a picture lying on its side, with the note how to turn it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    opened.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)


def crowd(content: dict[str, Any]) -> None:
    """Make the first object a crowd with run lengths."""
    height, width = content["images"][0]["height"], content["images"][0]["width"]
    runs = {"counts": [0, height * 3, height * (width - 3)], "size": [height, width]}
    content["annotations"][0].update(iscrowd=1, segmentation=runs)


def alone(content: dict[str, Any]) -> None:
    """Take the objects of the first image away."""
    number = content["images"][0]["id"]
    content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] != number]


def huge_png() -> bytes:
    """Write the header of a PNG of 50,000 x 50,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + bytes(8)


def billion_laughs() -> str:
    """Write an XML file that would expand to gigabytes."""
    entities = "".join(f'<!ENTITY l{level} "{f"&l{level - 1};" * 10}">' for level in range(1, 10))
    return f'<!DOCTYPE a [<!ENTITY l0 "lol">{entities}]><annotation><filename>&l9;</filename></annotation>'


def shows(grey: bool = False, tolerance: float = 6) -> Callable[[Any], bool]:
    """Tell whether the first image of a batch is the picture that was written, boxes and all."""

    def holds(batch: Any) -> bool:  # noqa: ANN401 - of detection
        place = batch.ids.tolist().index(0)
        shape = shapes(1)[0]
        height, width = batch.sizes[place].tolist()
        expected = cv2.resize(shape.pixels, (width, height), interpolation=cv2.INTER_LINEAR).astype(float)
        if grey:
            expected = cv2.cvtColor(expected.round().astype(np.uint8), cv2.COLOR_RGB2GRAY)[:, :, None].astype(float)
        found: Tensor = batch.images[place, :, :height, :width]
        near = np.abs(found.permute(1, 2, 0).numpy() - expected).mean() < tolerance
        count = len(shape.boxes)
        back = batch.boxes[place, :count] * batch.scale[place].flip(0).repeat(2)
        return bool(near) and np.allclose(back, shape.boxes, atol=1e-3)

    return holds


def colored(values: np.ndarray) -> Image.Image:
    """Make a mask with a palette, as VOC has them."""
    image = Image.fromarray(values)
    image.putpalette([channel for value in range(256) for channel in (255 - value, value * 7 % 256, 30)])
    return image
