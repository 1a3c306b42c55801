"""Masks of the objects of a PASCAL VOC devkit: ``SegmentationObject`` beside ``SegmentationClass``."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int32

from visiontasks.data.images.mask_reading import read_mask
from visiontasks.data.images.mask_values import MaskValues
from visiontasks.data.index.instance_maps import MapInstance, find_instances, match_boxes, pack_runs, read_numbers
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.data.index.ragged import offsets_of
from visiontasks.data.index.voc import VocDevkit
from visiontasks.data.loading.processes import map_files
from visiontasks.errors import DataError
from visiontasks.options import MAX_PIXELS
from visiontasks.types import IGNORED

_VOID = 0xE0E0C0
"""VOC's colour of pixels of no object, in files without a palette."""


@dataclass(frozen=True)
class VocInstances:
    """One split of a devkit with the mask of each object.

    The masks of ``SegmentationObject`` are matched with the objects of the XML files, by their numbers or by class and
    box, see :func:`~visiontasks.data.index.instance_maps.match_boxes`. A matched object has the box of the XML file,
    and whether it is difficult. A mask without such an object is one of the class that most of its pixels have in
    ``SegmentationClass``, with the box around it; an object without a mask keeps its box.

    Args:
        devkit: The split, from a list of ``ImageSets/Segmentation``, with its class names.
        values: Classes in the order of the values 1, 2, ... of ``SegmentationClass``.
        colours: Colour of each class in these files, from ``labelmap.txt``; none if they are numbers.
    """

    devkit: VocDevkit
    values: tuple[str, ...]
    colours: tuple[tuple[str, str], ...] = ()

    def sources(self) -> Sequence[Path]:
        """Return the list, the XML files, and the masks."""
        return [*self.devkit.sources(), *(file for pair in self._maps for file in pair)]

    def parse(self) -> Parsed:
        """Read the XML files and the masks."""
        index, problems = self._without_masks.index, list(self._without_masks.problems)
        label_of = {name: label for label, name in enumerate(index.class_names)}
        names = MaskValues(dict(self.colours)).class_names if self.colours else ("background", *self.values)
        read = partial(_read_maps, labels=tuple(label_of.get(name, IGNORED) for name in names), colours=self.colours)
        sizes, found = index.sizes.copy(), []
        for image, content in enumerate(map_files(read, self._maps)):
            stated = (int(sizes[image, 0]), int(sizes[image, 1]))
            instances = content.instances
            if all(stated) and any(content.size) and content.size != stated:
                value = f"{_by(content.size)} for an image of {_by(stated)} (height x width)"
                remedy = "One of them belongs to another image or was resized."
                problems.append(Problem("error", "mask of another size", str(index.file(image)), "", value, remedy))
                instances = []
            elif any(content.size):
                sizes[image] = content.size
            problems += content.problems
            found.append(_match(index, image, instances, problems))
        joined = replace(
            index,
            sizes=sizes,
            offsets=offsets_of(np.array([len(one.labels) for one in found], np.int64)),
            labels=np.concatenate([np.zeros(0, np.int32), *(one.labels for one in found)]),
            boxes=np.concatenate([np.zeros((0, 4)), *(one.boxes for one in found)]),
            ignore=np.concatenate([np.zeros(0, np.bool_), *(one.ignore for one in found)]),
            masks=None,
            segments=pack_runs([runs for one in found for runs in one.runs]),
        )
        return Parsed(joined, problems)

    @cached_property
    def _without_masks(self) -> Parsed:
        return self.devkit.parse()

    @cached_property
    def _maps(self) -> list[tuple[Path, Path]]:
        """Return the files of the numbers of objects and of classes of each image."""
        folder = self.devkit.folder
        names = [Path(name).relative_to("SegmentationClass") for name in self._without_masks.index.masks or ()]
        return [(folder / "SegmentationObject" / name, folder / "SegmentationClass" / name) for name in names]


class _Objects(NamedTuple):
    """The objects of an image, and the run lengths of their masks."""

    boxes: Float64[np.ndarray, "objects 4"]
    labels: Int32[np.ndarray, " objects"]
    ignore: Bool[np.ndarray, " objects"]
    runs: list[str]


def _match(index: ImageIndex, image: int, instances: Sequence[MapInstance], problems: list[Problem]) -> _Objects:
    """Join the objects of an XML file and those of the masks."""
    boxes, labels, ignore = index.objects(image)
    assert boxes is not None
    matches = match_boxes(instances, boxes, labels)
    runs = [""] * len(labels)
    added = []
    for position, one in zip(matches, instances, strict=True):
        if position >= 0:
            runs[position] = one.runs
        elif one.label >= 0:
            added.append(one)
        else:
            kind, record, remedy = "mask of an object without a class", f"object {one.number}", "It was left out."
            problems.append(Problem("warning", kind, str(index.file(image)), record, "", remedy))
    for position in [position for position, text in enumerate(runs) if not text]:
        record = f"object {position + 1} ({index.class_names[labels[position]]})"
        kind, remedy = "object without segmentation", "Its mask is empty."
        problems.append(Problem("warning", kind, str(index.file(image)), record, "", remedy))
    return _Objects(
        np.concatenate([boxes, np.array([one.box for one in added], np.float64).reshape(-1, 4)]),
        np.array([*labels, *(one.label for one in added)], np.int32),
        np.array([*ignore, *(False for _ in added)], np.bool_),
        [*runs, *(one.runs for one in added)],
    )


class _Maps(NamedTuple):
    size: tuple[int, int]
    instances: list[MapInstance]
    problems: list[Problem]


def _read_maps(files: tuple[Path, Path], labels: tuple[int, ...], colours: tuple[tuple[str, str], ...]) -> _Maps:
    """Read the masks of an image; ``labels`` are those of the values, or of the colours."""
    of_objects, of_classes = files
    try:
        numbers = read_numbers(of_objects)
        values = MaskValues(dict(colours)).read(of_classes, MAX_PIXELS) if colours else read_mask(of_classes)
    except DataError as error:
        remedy = "SegmentationObject and SegmentationClass have a PNG file for each image of the list."
        return _Maps((0, 0), [], [Problem("error", "mask cannot be used", str(of_objects), "", str(error), remedy)])
    size = (numbers.shape[0], numbers.shape[1])
    if values.shape != size:
        value = f"{_by(size)} and {_by(values.shape)} (height x width)"
        remedy = "The masks of objects and of classes are of the same image."
        return _Maps((0, 0), [], [Problem("error", "masks of two sizes", str(of_objects), "", value, remedy)])
    table = np.full(IGNORED + 1, IGNORED, np.uint8)
    table[: len(labels)] = labels
    return _Maps(size, find_instances(numbers, table[values.clip(0, IGNORED)], none=(0, IGNORED, _VOID)), [])


def _by(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"
