"""COCO instances files.

Microsoft COCO: Common Objects in Context, arXiv 1405.0312; the format is described at cocodataset.org/#format-data.
"""

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Bool, Float64, Int64

from visiontasks.data.index.boxes import BoxFormat, clean_boxes
from visiontasks.data.index.coco_records import Annotation, Category, Image, read_records
from visiontasks.data.index.coco_segments import pack_segments
from visiontasks.data.index.file_names import found_files, missing_files, unsafe_name
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.data.index.ragged import PackedStrings, offsets_of
from visiontasks.data.index.source import ignored_objects
from visiontasks.errors import near_matches

Entry = TypeVar("Entry", Image, Category, Annotation)


@dataclass(frozen=True)
class CocoFile:
    """Detection or instance segmentation data in COCO format: one json file and a folder of images.

    Images are in the order of the file, the objects of an image as well; classes are in the order of their ids unless
    they are given. ``segmentation``, ``area``, ``iscrowd``, ``width`` and ``height`` may be absent.

    Args:
        file: The json file.
        images: Folder that the file names in it are relative to.
        box_format: Notation of its boxes, if a tool has written one other than COCO's.
        class_names: Classes in the order of the labels, found among the categories by name; None takes the categories.
    """

    file: Path
    images: Path
    box_format: BoxFormat = "xywh"
    class_names: tuple[str, ...] | None = None

    def sources(self) -> Sequence[Path]:
        """Return the json file."""
        return [self.file]

    def parse(self) -> Parsed:
        """Read the file and look for its images."""
        with _without_garbage_collection():
            return self._parse()

    def _parse(self) -> Parsed:
        dataset, rows, problems = read_records(self.file)
        problems = list(problems)
        images = self._distinct(dataset.images, "image", problems)
        images = [image for image in images if self._named_safely(image, problems)]
        categories = self._distinct(dataset.categories, "category", problems)
        categories.sort(key=lambda category: category.id)
        class_names, class_of = self._classes(categories, problems)
        image_ids, category_ids = _integers(image.id for image in images), _integers(entry.id for entry in categories)
        sizes = np.array([(image.height, image.width) for image in images], np.int32).reshape(-1, 2)
        annotations = dataset.annotations

        def place(row: int) -> tuple[str, str]:
            return str(self.file), f"annotations[{rows[row]}] (id {annotations[row].id})"

        image_of, with_image = _look_up(_integers(entry.image_id for entry in annotations), image_ids)
        category_of, with_label = _look_up(_integers(entry.category_id for entry in annotations), category_ids)
        for row in np.flatnonzero(~with_image).tolist():
            value = f"image_id {annotations[row].image_id}"
            kind, remedy = "object of an image that is not listed", "It was dropped."
            problems.append(Problem("warning", kind, *place(row), value, remedy))
        for row in np.flatnonzero(~with_label).tolist():
            value = f"category_id {annotations[row].category_id}"
            remedy = f"Correct it, or add it to the {len(categories)} categories."
            problems.append(Problem("error", "unknown category", *place(row), value, remedy))
        counts = np.bincount(category_of[with_label], minlength=len(categories))
        for category, count in zip(categories, np.where(class_of < 0, counts, 0).tolist(), strict=True):
            if count:
                value, remedy = f"{category.name!r} of {count} objects", near_matches(category.name, class_names)
                record = f"category {category.id}"
                problems.append(Problem("error", "unknown class", str(self.file), record, value, remedy))
        with_label[with_label] = class_of[category_of[with_label]] >= 0
        object_sizes = np.zeros((len(annotations), 2), np.int32)
        object_sizes[with_image] = sizes[image_of[with_image]]
        values = np.array([entry.bbox for entry in annotations], np.float64).reshape(-1, 4)
        boxes, keep, found = clean_boxes(values, object_sizes, self.box_format, str(self.file), place)
        problems += found

        order = np.flatnonzero(keep & with_image & with_label)
        order = order[np.argsort(image_of[order], kind="stable")]
        kept = self._distinct([annotations[row] for row in order.tolist()], "object", problems, "warning")
        texts = [entry.segmentation for entry in kept]
        segments, found = pack_segments(texts, object_sizes[order], lambda position: place(int(order[position])))
        problems += found
        ids_of_classes = np.full(len(class_names), -1)
        ids_of_classes[class_of[class_of >= 0]] = category_ids[class_of >= 0]
        index = ImageIndex(
            root=self.images,
            files=PackedStrings.pack(found_files(self.images, (image.file_name for image in images))),
            image_ids=image_ids,
            sizes=sizes,
            class_names=class_names,
            category_ids=ids_of_classes,
            offsets=offsets_of(np.bincount(image_of[order], minlength=len(images))),
            labels=class_of[category_of[order]].astype(np.int32),
            boxes=boxes[order],
            ignore=np.fromiter((entry.iscrowd for entry in kept), np.bool_, len(kept)),
            areas=_areas(kept, boxes[order]),
            object_ids=_integers(entry.id for entry in kept),
            segments=segments,
        )
        problems += ignored_objects(index, str(self.file), "iscrowd=1")
        return Parsed(index, [*problems, *missing_files(index, str(self.file))])

    def _classes(
        self, categories: list[Category], problems: list[Problem]
    ) -> tuple[tuple[str, ...], Int64[np.ndarray, " categories"]]:
        """Return the class names, and the class of each category: -1 for a category that is not among them."""
        names = [category.name for category in categories]
        for position, category in enumerate(categories):
            if category.name in names[:position]:
                kind, remedy = "category name occurs twice", "Give every category its own name."
                record = f"category {category.id}"
                problems.append(Problem("error", kind, str(self.file), record, repr(category.name), remedy))
        if self.class_names is None:
            return tuple(names), np.arange(len(names))
        label_of = {name: label for label, name in enumerate(self.class_names)}
        return self.class_names, _integers(label_of.get(name, -1) for name in names)

    def _distinct(
        self,
        entries: list[Entry],
        name: str,
        problems: list[Problem],
        severity: Literal["error", "warning"] = "error",
    ) -> list[Entry]:
        """Report duplicate identifiers; if they are errors, the later entries are left out."""
        _, first = np.unique(_integers(entry.id for entry in entries), return_index=True)
        if len(first) == len(entries):
            return entries
        for position in np.setdiff1d(np.arange(len(entries)), first).tolist():
            entry = entries[position]
            value = getattr(entry, "file_name", "") or getattr(entry, "name", "")
            remedy = "Give every one its own id." if severity == "error" else "It was kept."
            problems.append(
                Problem(severity, f"{name} id occurs twice", str(self.file), f"{name} {entry.id}", value, remedy)
            )
        return [entries[position] for position in np.sort(first)] if severity == "error" else entries

    def _named_safely(self, image: Image, problems: list[Problem]) -> bool:
        unsafe = unsafe_name(image.file_name, self.images)
        if unsafe:
            remedy = f"Write a name relative to {self.images}."
            value = repr(image.file_name)
            problems.append(Problem("error", unsafe, str(self.file), f"image {image.id}", value, remedy))
        return not unsafe


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Disable garbage collection, which would traverse millions of live records and take half of the parsing time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _integers(values: Iterable[int]) -> Int64[np.ndarray, " entries"]:
    return np.fromiter(values, np.int64)


def _look_up(
    identifiers: Int64[np.ndarray, " entries"], known: Int64[np.ndarray, " known"]
) -> tuple[Int64[np.ndarray, " entries"], Bool[np.ndarray, " entries"]]:
    """Find the position of each identifier among the known ones, and whether it is known."""
    if not len(known):
        return np.zeros(len(identifiers), np.int64), np.zeros(len(identifiers), np.bool_)
    order = np.argsort(known)
    positions = order[np.searchsorted(known, identifiers, sorter=order).clip(max=len(known) - 1)]
    return positions, known[positions] == identifiers


def _areas(
    entries: list[Annotation], boxes: Float64[np.ndarray, "objects 4"]
) -> Float64[np.ndarray, " objects"] | None:
    """Return the areas given in the file, or that of the box if an area is missing; None if the file has no areas."""
    if all(entry.area is None for entry in entries):
        return None
    stated = np.array([entry.area for entry in entries], np.float64)
    return np.where(np.isnan(stated), (boxes[:, 2:] - boxes[:, :2]).prod(axis=1), stated)
