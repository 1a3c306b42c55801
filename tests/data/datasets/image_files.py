"""Writes image files, and stands in for the index of annotations."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from visiontasks.data.datasets.shapes import ShapesDataset

SIZES = [(48, 64), (64, 48), (50, 50), (40, 60), (64, 64), (45, 70), (60, 44)]


class Objects(NamedTuple):
    boxes: np.ndarray
    labels: np.ndarray
    ignore: np.ndarray


class Files:
    """Pictures of shapes in PNG files of several sizes, with boxes and masks."""

    def __init__(self, folder: Path, count: int = 7) -> None:
        self.root = folder
        self.class_names: tuple[str, ...] = ("circle", "square", "triangle", "star")
        self.masks: list[str] | None = None
        self.sizes = np.array([SIZES[number % len(SIZES)] for number in range(count)], np.int32)
        self.found: list[Objects] = []
        self.maps: list[np.ndarray] = []
        for number, size in enumerate(self.sizes.tolist()):
            shapes = ShapesDataset(1, image_size=(size[0], size[1]), seed=number, min_objects=1, max_objects=3)
            sample = shapes[0]
            Image.fromarray(sample.image.permute(1, 2, 0).numpy().copy()).save(self.file(number))
            labels = sample.box_labels.numpy().astype(np.int32)
            self.found.append(Objects(sample.boxes.double().numpy(), labels, np.arange(len(labels)) == 1))
            self.maps.append(sample.mask.numpy())

    def __len__(self) -> int:
        return len(self.sizes)

    def file(self, image: int) -> Path:
        return self.root / f"{image}.png"

    def objects(self, image: int) -> Objects:
        return self.found[image]

    def areas_of(self, image: int) -> np.ndarray:
        boxes = self.found[image].boxes
        return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(1))

    def class_map(self, image: int, size: tuple[int, int]) -> np.ndarray:
        return self.maps[image]

    def write_masks(self) -> None:
        self.masks = [f"mask {number}.png" for number in range(len(self))]
        for name, values in zip(self.masks, self.maps, strict=True):
            Image.fromarray(values).save(self.root / name)
