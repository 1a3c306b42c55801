"""Images and files of the numbers of objects in parallel folders, with masks of classes where there are several."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer, UInt8

from visiontasks.data.images.mask_values import MaskValues
from visiontasks.data.index.file_names import missing_files
from visiontasks.data.index.folders import OF_CLASSES, OF_INSTANCES, pair_files
from visiontasks.data.index.instance_maps import MapInstance, find_instances, pack_runs, read_numbers
from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.data.index.source import build_index
from visiontasks.data.loading.processes import map_files
from visiontasks.errors import DataError
from visiontasks.options import MAX_PIXELS
from visiontasks.types import IGNORED

BACKGROUND = "background"
"""Name of the class of pixels without an object."""


@dataclass(frozen=True)
class InstanceFolders:
    """Images, and for each a file of the number of the object of each pixel, 0 for none.

    The class of an object is that of most of its pixels in the mask of classes; if there is one class only, it is that.
    With a divisor the number says the class itself, as in Cityscapes' ``_instanceIds.png``: ``class * 1000 + number``;
    a number below the divisor is a class whose objects are not told apart, and becomes one object that is ignored.

    Args:
        root: Folder that contains all others.
        images: Folder of the images, relative to ``root``.
        instances: Folder of the numbers of objects.
        masks: Folder of the masks of classes; None if there are none.
        values: Values or colours of each class in these masks, by its name, also those of ``"background"`` and
            ``"ignore"``.
        class_names: Classes of objects in the order of the labels.
        divisor: Number by which the value of a pixel is divided, which gives the value of its class.
        ignore_index: A value of pixels without a class.
    """

    root: Path
    images: str
    instances: str
    masks: str | None
    values: tuple[tuple[str, tuple[int | str, ...]], ...]
    class_names: tuple[str, ...]
    divisor: int | None = None
    ignore_index: int = IGNORED

    def sources(self) -> Sequence[Path]:
        """Return the files of numbers and of classes."""
        return [file for numbers, classes in self._files for file in (numbers, classes) if file is not None]

    def parse(self) -> Parsed:
        """Pair the files of the folders, and read the masks."""
        pairs, problems = self._pairs
        contents = map_files(partial(_read_objects, source=self), self._files)
        found = [(image, one) for image, content in enumerate(contents) for one in content.instances]
        problems = [*problems, *(problem for content in contents for problem in content.problems)]
        index = build_index(
            self.root,
            [f"{self.images}/{name}" for name, _ in pairs],
            self.class_names,
            image_of=[image for image, _ in found],
            labels=[one.label for _, one in found],
            boxes=np.array([one.box for _, one in found], np.float64).reshape(-1, 4),
            ignore=[self.divisor is not None and one.number < self.divisor for _, one in found],
            sizes=np.array([content.size for content in contents], np.int32).reshape(-1, 2),
        )
        index = replace(index, segments=pack_runs([one.runs for _, one in found]))
        return Parsed(index, [*problems, *missing_files(index, str(self.root))])

    @cached_property
    def _pairs(self) -> tuple[list[tuple[str, str]], list[Problem]]:
        return pair_files(self.root / self.images, self.root / self.instances, OF_INSTANCES)

    @cached_property
    def _files(self) -> list[tuple[Path, Path | None]]:
        """Return the file of numbers and that of classes of each image; a mask that is missing is not there to read."""
        classes: dict[str, str] = {}
        if self.masks is not None:
            classes = dict(pair_files(self.root / self.images, self.root / self.masks, OF_CLASSES)[0])
        return [
            (
                self.root / self.instances / numbers,
                None if self.masks is None else self.root / self.masks / classes.get(name, name),
            )
            for name, numbers in self._pairs[0]
        ]


class _Content(NamedTuple):
    size: tuple[int, int]
    instances: list[MapInstance]
    problems: list[Problem]


def _read_objects(files: tuple[Path, Path | None], source: InstanceFolders) -> _Content:
    """Read the objects of an image."""
    of_objects, of_classes = files
    try:
        numbers = read_numbers(of_objects)
        labels = _read_labels(numbers, of_classes, source)
    except DataError as error:
        remedy = "Each image has a file of the numbers of its objects, and one of their classes if there are several."
        return _Content((0, 0), [], [Problem("error", "mask cannot be used", str(of_objects), "", str(error), remedy)])
    size = (numbers.shape[0], numbers.shape[1])
    if labels is not None and labels.shape != size:
        value = f"{size[0]} x {size[1]} and {labels.shape[0]} x {labels.shape[1]} (height x width)"
        remedy = "The numbers of objects and their classes are those of the same image."
        return _Content(size, [], [Problem("error", "masks of two sizes", str(of_objects), "", value, remedy)])
    if source.divisor is not None:
        numbers = np.where(labels == IGNORED, 0, numbers)  # what is of no class is no object, which is usual there
    found = find_instances(numbers, labels)
    kind, remedy = "object without a class", "It was left out: the mask of classes has none at its pixels."
    problems = [
        Problem("warning", kind, str(of_objects), f"object {one.number}", "", remedy) for one in found if one.label < 0
    ]
    return _Content(size, [one for one in found if one.label >= 0], problems)


def _read_labels(
    numbers: Integer[np.ndarray, "height width"], of_classes: Path | None, source: InstanceFolders
) -> UInt8[np.ndarray, "_ _"] | None:
    """Return the label of each pixel, 255 for none; None if all objects are of one class."""
    label_of = {name: label for label, name in enumerate(source.class_names)}
    if source.divisor is not None:
        values = np.where(numbers >= source.divisor, numbers // source.divisor, numbers)
        labels = np.full(numbers.shape, IGNORED, np.uint8)
        for name, of_class in source.values:
            if name in label_of:
                labels[np.isin(values, of_class)] = label_of[name]
        return labels
    if of_classes is None:
        return None
    named = MaskValues({name: list(of_class) for name, of_class in source.values}, source.ignore_index)
    table = np.full(IGNORED + 1, IGNORED, np.uint8)
    table[: len(named.class_names)] = [label_of.get(name, IGNORED) for name in named.class_names]
    labels_of_pixels: UInt8[np.ndarray, "_ _"] = table[named.read(of_classes, MAX_PIXELS)]
    return labels_of_pixels
