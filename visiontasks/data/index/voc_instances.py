"""Masks of the objects of a PASCAL VOC devkit: ``SegmentationObject`` beside ``SegmentationClass``."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from visiontasks.data.images.mask_reading import read_mask
from visiontasks.data.images.mask_values import MaskValues
from visiontasks.data.index.instance_maps import MapInstance, find_instances, match_boxes, pack_runs, read_numbers
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
        return [*self.devkit.sources(), *(file for pair in self._maps(self.devkit.parse()) for file in pair)]

    def parse(self) -> Parsed:
        """Read the XML files and the masks."""
        parsed = self.devkit.parse()
        index, problems = parsed.index, list(parsed.problems)
        names = [name for name, _ in self.colours] or ["background", *self.values]
        label_of = {name: label for label, name in enumerate(index.class_names)}
        read = partial(_read_maps, labels=tuple(label_of.get(name, IGNORED) for name in names), colours=self.colours)
        contents = map_files(read, self._maps(parsed))
        boxes, labels, ignore, runs, counts = [], [], [], [], []
        sizes = index.sizes.copy()
        for image, content in enumerate(contents):
            name = str(index.file(image))
            problems += content.problems
            height, width = sizes[image]
            if height and width and content.size != (0, 0) and content.size != (height, width):
                value = f"{content.size[0]} x {content.size[1]} for an image of {height} x {width} (height x width)"
                remedy = "One of them belongs to another image or was resized."
                problems.append(Problem("error", "mask of another size", name, "", value, remedy))
                content = content._replace(instances=[])
            sizes[image] = content.size if content.size != (0, 0) else sizes[image]
            own = index.objects(image)
            assert own.boxes is not None
            matches = match_boxes(content.instances, own.boxes, own.labels)
            masks = {position: one.runs for position, one in zip(matches, content.instances, strict=True)}
            added = [one for position, one in zip(matches, content.instances, strict=True) if position < 0]
            for one in added:
                if one.label < 0:
                    kind, remedy = "mask of an object without a class", "It was left out."
                    problems.append(Problem("warning", kind, name, f"object {one.number}", "", remedy))
            added = [one for one in added if one.label >= 0]
            for position in range(len(own.labels)):
                if position not in masks:
                    kind, remedy = "object without segmentation", "Its mask is empty."
                    record = f"object {position + 1} ({index.class_names[own.labels[position]]})"
                    problems.append(Problem("warning", kind, name, record, "", remedy))
            boxes.append(np.concatenate([own.boxes, np.array([one.box for one in added]).reshape(-1, 4)]))
            labels.append(np.array([*own.labels, *(one.label for one in added)], np.int32))
            ignore.append(np.array([*own.ignore, *(False for _ in added)], np.bool_))
            runs += [masks.get(position, "") for position in range(len(own.labels))] + [one.runs for one in added]
            counts.append(len(labels[-1]))
        joined = replace(
            index,
            sizes=sizes,
            offsets=offsets_of(np.array(counts, np.int64)),
            labels=np.concatenate([np.zeros(0, np.int32), *labels]),
            boxes=np.concatenate([np.zeros((0, 4)), *boxes]),
            ignore=np.concatenate([np.zeros(0, np.bool_), *ignore]),
            masks=None,
            segments=pack_runs(runs),
        )
        return Parsed(joined, problems)

    def _maps(self, parsed: Parsed) -> list[tuple[Path, Path]]:
        """Return the files of the numbers of objects and of classes of each image."""
        classes = [parsed.index.root / name for name in parsed.index.masks or ()]
        return [
            (
                self.devkit.folder / "SegmentationObject" / file.relative_to(self.devkit.folder / "SegmentationClass"),
                file,
            )
            for file in classes
        ]


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
        value = f"{size[0]} x {size[1]} and {values.shape[0]} x {values.shape[1]} (height x width)"
        remedy = "The masks of objects and of classes are of the same image."
        return _Maps(size, [], [Problem("error", "masks of two sizes", str(of_objects), "", value, remedy)])
    table = np.full(IGNORED + 1, IGNORED, np.uint8)
    table[: len(labels)] = labels
    return _Maps(size, find_instances(numbers, table[values.clip(0, IGNORED)], none=(0, IGNORED, _VOID)), [])
