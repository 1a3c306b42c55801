"""YOLO's form of detection and segmentation data: a text file with fractions of the image for each image.

Ultralytics describes it at docs.ultralytics.com/datasets/detect and /segment; Darknet's is the same.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from visiontasks.data.index.boxes import clean_boxes
from visiontasks.data.index.file_names import missing_files
from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.data.index.ragged import PackedStrings, offsets_of, take_rows
from visiontasks.data.index.segments import Segments, pack_coordinates
from visiontasks.data.index.source import build_index
from visiontasks.data.index.yolo_files import ListedImages, label_name, list_images
from visiontasks.data.index.yolo_forms import mistaken_polygons, outside_lines
from visiontasks.data.index.yolo_lines import KeyPoints, LabelledImage, read_labelled_image
from visiontasks.data.loading.processes import map_files
from visiontasks.errors import near_matches

_MANY = 0.1
"""Fraction of the images that may have no label file without a warning."""
_DECIMALS = 9
"""Pixels are rounded to as many decimals, which removes what the division by the size has added."""


@dataclass(frozen=True)
class YoloLabels:
    """One split: images, and label files in a parallel folder or beside them.

    The labels of ``images/train/1.jpg`` are ``labels/train/1.txt``: the last folder called ``images`` becomes
    ``labels``; where there is none, they lie beside the image. An image without a label file, or with an empty one, has
    no objects.

    Args:
        root: Folder of the data set.
        images: Folders of images, with their subfolders, and text files that list images, one in a line.
        names: Names of the classes by their numbers in the labels.
        described: The file that contains the names; None if there is none.
        class_names: Classes in the order of the labels, found among the names; None takes the names.
        key_points: Shape of the key points of pose data, which are left out; None if there are none.
        skip: Whether an image that cannot be read is a warning instead of an error.
        exif: Whether the EXIF orientation of images is applied.
    """

    root: Path
    images: tuple[Path, ...]
    names: tuple[str, ...]
    described: Path | None = None
    class_names: tuple[str, ...] | None = None
    key_points: KeyPoints | None = None
    skip: bool = False
    exif: bool = True

    def sources(self) -> Sequence[Path]:
        """Return the description, the lists, the label files, and the images, whose sizes are part of the result."""
        return self._sources

    def parse(self) -> Parsed:
        """Read the sizes of the images and their label files."""
        files, label_files, problems = self._listed
        problems = list(problems)
        pairs = [(self.root / name, label) for name, label in zip(files, label_files, strict=True)]
        read = partial(
            read_labelled_image,
            names=self.names,
            key_points=self.key_points,
            unreadable="warning" if self.skip else "error",
            exif=self.exif,
        )
        contents = map_files(read, pairs)
        sizes = np.array([content.size for content in contents], np.int32).reshape(-1, 2)
        problems += self._problems(contents, pairs)
        # The objects of an image that cannot be read have no place in pixels.
        known = np.flatnonzero(sizes.all(1)).tolist()
        lines = [(image, line) for image in known for line in contents[image].labels.lines]
        image_of = np.array([image for image, _ in lines], np.int64)

        def place(row: int) -> tuple[str, str]:
            image, line = lines[row]
            return str(label_files[image]), f"line {line.number}"

        problems += mistaken_polygons([line.coordinates for _, line in lines], str(self.root))
        shapes = _to_pixels([line.coordinates for _, line in lines], sizes[image_of])
        boxes, keep, found = clean_boxes(shapes.boxes, sizes[image_of], "xyxy", str(self.root), place)
        problems += found
        class_names, label_of, found = self._classes([line.label for _, line in lines])
        problems += found
        labels = label_of[np.array([line.label for _, line in lines], np.int64)]
        keep &= labels >= 0
        index = build_index(
            self.root,
            files,
            class_names,
            image_of=image_of[keep],
            labels=labels[keep],
            boxes=boxes[keep],
            sizes=sizes,
        )
        if shapes.is_polygon.any():
            remedy = "Its mask is empty: a line of 5 columns is a box without a polygon."
            problems += [
                Problem("warning", "object without segmentation", *place(row), "", remedy)
                for row in np.flatnonzero(keep & ~shapes.is_polygon).tolist()
            ]
            index = replace(index, segments=shapes.segments(np.flatnonzero(keep)))
        return Parsed(index, [*problems, *missing_files(index, str(self.root))])

    @cached_property
    def _listed(self) -> ListedImages:
        return list_images(self.root, self.images)

    @cached_property
    def _sources(self) -> list[Path]:
        images, labels, _ = self._listed
        lists = [place for place in self.images if place.is_file()]
        described = [] if self.described is None else [self.described]
        return [*described, *lists, *filter(None, labels), *(Path(f"{self.root}/{name}") for name in images)]

    def _classes(self, used: Sequence[int]) -> tuple[tuple[str, ...], Int64[np.ndarray, " numbers"], list[Problem]]:
        """Return the class names, and the label of each number in the files: -1 for one that is not among them."""
        if self.class_names is None:
            return self.names, np.arange(len(self.names)), []
        label_of = {name: label for label, name in enumerate(self.class_names)}
        labels = np.array([label_of.get(name, -1) for name in self.names], np.int64)
        counts = np.bincount(np.array(used, np.int64), minlength=len(self.names))
        where = str(self.described or self.root)
        problems = [
            Problem(
                *("error", "unknown class", where, f"class {number}"),
                f"{self.names[number]!r} of {counts[number]} objects",
                near_matches(self.names[number], self.class_names),
            )
            for number in np.flatnonzero((labels < 0) & (counts > 0)).tolist()
        ]
        return self.class_names, labels, problems

    def _problems(
        self, contents: Sequence[LabelledImage], pairs: Sequence[tuple[Path, Path | None]]
    ) -> Iterator[Problem]:
        for content in contents:
            yield from content.labels.problems
            yield from content.problems
        source = str(self.root)
        outside = [
            (label, line)
            for content, (_, label) in zip(contents, pairs, strict=True)
            for line in content.labels.outside
            if label is not None
        ]
        count = sum(len(content.labels.lines) for content in contents) + len(outside)
        yield from outside_lines(outside, count, source)
        if key_points := sum(content.labels.key_points for content in contents):
            kind, remedy = "key points were left out", "The boxes were read."
            yield Problem("warning", kind, source, "", f"those of {key_points} lines", remedy)
        unlabelled = [image for image, label in pairs if label is None]
        if len(unlabelled) > _MANY * len(pairs):
            wanted = self.root / label_name(os.path.relpath(unlabelled[0], self.root).replace(os.sep, "/"))
            value = f"{len(unlabelled)} of {len(pairs)}; that of {str(unlabelled[0])!r} would be {str(wanted)!r}"
            remedy = "They count as images without objects; an empty file says so, too."
            yield Problem("warning", "images without label file", source, "", value, remedy)


class _Shapes(NamedTuple):
    """Boxes of all objects (xyxy in pixels), and the polygons of those that have one, one after the other."""

    boxes: Float64[np.ndarray, "objects 4"]
    is_polygon: Bool[np.ndarray, " objects"]
    values: Float64[np.ndarray, " values"]
    offsets: Int64[np.ndarray, " bounds"]

    def segments(self, objects: Int64[np.ndarray, " taken"]) -> Segments:
        """Pack the polygons of some objects; one that has none gets none."""
        values, offsets = take_rows(self.offsets, objects[self.is_polygon[objects]])
        return Segments(
            pack_coordinates(self.values[values]),
            offsets,
            offsets_of(self.is_polygon[objects].astype(np.int64)),
            PackedStrings.pack([""] * len(objects)),
        )


def _to_pixels(shapes: Sequence[Sequence[float]], sizes: Int32[np.ndarray, "objects 2"]) -> _Shapes:
    """Convert fractions to pixels; the box of a polygon is the one around it."""
    lengths = np.array([len(shape) for shape in shapes], np.int64)
    values, offsets = np.fromiter(chain.from_iterable(shapes), np.float64), offsets_of(lengths)
    is_polygon = lengths > 4
    scale = sizes[:, ::-1].astype(np.float64)
    boxes = np.zeros((len(shapes), 4))
    rows = np.flatnonzero(~is_polygon)
    centers, sides = np.split(values[take_rows(offsets, rows)[0]].reshape(-1, 4), 2, axis=1)
    boxes[rows] = np.hstack([centers - sides / 2, centers + sides / 2]) * np.tile(scale[rows], 2)
    rows = np.flatnonzero(is_polygon)
    taken, bounds = take_rows(offsets, rows)
    points = values[taken].reshape(-1, 2).clip(0, 1) * np.repeat(scale[rows], lengths[rows] // 2, axis=0)
    points = points.round(_DECIMALS)
    if len(rows):
        starts = bounds[:-1] // 2
        boxes[rows, :2] = np.minimum.reduceat(points, starts)
        boxes[rows, 2:] = np.maximum.reduceat(points, starts)
    polygon_offsets = offsets_of(np.where(is_polygon, lengths, 0))
    return _Shapes(boxes.round(_DECIMALS), is_polygon, points.ravel(), polygon_offsets)
