"""COCO instances files.

Microsoft COCO: Common Objects in Context, arXiv 1405.0312; the format is described at cocodataset.org/#format-data.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from visiontasks.data.index.boxes import BoxFormat, clean_boxes, to_xyxy
from visiontasks.data.index.coco_classes import choose_classes
from visiontasks.data.index.coco_records import Annotation, Category, Image, name_files, read_records
from visiontasks.data.index.coco_segments import boxes_of_segments, pack_segments
from visiontasks.data.index.file_names import found_files, missing_files, unsafe_name
from visiontasks.data.index.packed import ImageIndex, pack_identifiers
from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.data.index.ragged import PackedStrings, offsets_of
from visiontasks.data.index.source import ignored_objects
from visiontasks.garbage import without_garbage_collection


@dataclass(frozen=True)
class CocoFile:
    """Detection or instance segmentation data in COCO format: one json file and a folder of images.

    Images are in the order of the file, the objects of an image as well; classes are in the order of their ids unless
    they are given. ``segmentation``, ``area``, ``iscrowd``, ``width`` and ``height`` may be absent; so may ``bbox``, or
    be empty, where there is a segmentation to derive it from. Ids are numbers or texts, and stay what they are.

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
        with without_garbage_collection():
            return self._parse()

    def _parse(self) -> Parsed:
        dataset, rows, problems = read_records(self.file)
        problems = list(problems)
        annotations = dataset.annotations
        image_keys, image_wanted = _keys([entry.id for entry in dataset.images], [a.image_id for a in annotations])
        category_keys, category_wanted = _keys(
            [entry.id for entry in dataset.categories], [a.category_id for a in annotations]
        )
        kept = self._distinct(dataset.images, "image", image_keys, image_wanted, problems)
        name_files(dataset.images, self.images)
        kept = [row for row in kept if self._named_safely(dataset.images[row], problems)]
        images, image_keys = [dataset.images[row] for row in kept], image_keys[kept]
        kept = self._distinct(dataset.categories, "category", category_keys, category_wanted, problems)
        category_of, with_label = _look_up(category_wanted, category_keys[kept])
        counts = np.bincount(category_of[with_label], minlength=len(kept))
        categories = [dataset.categories[row] for row in kept]
        classes = choose_classes(categories, counts, self.class_names, str(self.file))
        problems += classes.problems
        sizes = np.array([(image.height, image.width) for image in images], np.int32).reshape(-1, 2)

        def place(row: int) -> tuple[str, str]:
            return str(self.file), f"annotations[{rows[row]}] (id {annotations[row].id})"

        image_of, with_image = _look_up(image_wanted, image_keys)
        for row in np.flatnonzero(~with_image).tolist():
            value = f"image_id {annotations[row].image_id}"
            kind, remedy = "object of an image that is not listed", "It was dropped."
            problems.append(Problem("warning", kind, *place(row), value, remedy))
        for row in np.flatnonzero(~with_label).tolist():
            value = f"category_id {annotations[row].category_id}"
            remedy = f"Correct it, or add it to the {len(kept)} categories."
            problems.append(Problem("error", "unknown category", *place(row), value, remedy))
        labels = np.full(len(annotations), -1)
        labels[with_label] = classes.labels[category_of[with_label]]
        object_sizes = np.zeros((len(annotations), 2), np.int32)
        object_sizes[with_image] = sizes[image_of[with_image]]
        boxes, keep = self._boxes(annotations, object_sizes, place, problems)

        order = np.flatnonzero(keep & with_image & (labels >= 0))
        order = order[np.argsort(image_of[order], kind="stable")]
        objects = [annotations[row] for row in order.tolist()]
        (object_keys,) = _keys([entry.id for entry in objects])
        for position in _repeated(object_keys):
            kind, record = "object id occurs twice", f"object {objects[position].id}"
            problems.append(Problem("warning", kind, str(self.file), record, "", "It was kept."))
        texts = [entry.segmentation for entry in objects]
        segments, found = pack_segments(texts, object_sizes[order], lambda position: place(int(order[position])))
        problems += found
        object_ids = pack_identifiers([entry.id for entry in objects])
        index = ImageIndex(
            root=self.images,
            files=PackedStrings.pack(found_files(self.images, (image.file_name for image in images))),
            image_ids=pack_identifiers([image.id for image in images]),
            sizes=sizes,
            class_names=classes.names,
            category_ids=pack_identifiers(classes.ids),
            offsets=offsets_of(np.bincount(image_of[order], minlength=len(images))),
            labels=labels[order].astype(np.int32),
            boxes=boxes[order],
            ignore=np.fromiter((entry.iscrowd for entry in objects), np.bool_, len(objects)),
            areas=_areas(objects, boxes[order]),
            object_ids=None if isinstance(object_ids, PackedStrings) else object_ids,
            segments=segments,
        )
        problems += ignored_objects(index, str(self.file), "iscrowd=1")
        return Parsed(index, [*problems, *missing_files(index, str(self.file))])

    def _boxes(
        self,
        annotations: list[Annotation],
        sizes: Int32[np.ndarray, "objects 2"],
        place: Callable[[int], tuple[str, str]],
        problems: list[Problem],
    ) -> tuple[Float64[np.ndarray, "objects 4"], Bool[np.ndarray, " objects"]]:
        """Return the boxes and which to keep; a box that lacks or is empty is that of the segmentation."""
        values = np.array([entry.bbox or (0, 0, 0, 0) for entry in annotations], np.float64).reshape(-1, 4)
        corners = to_xyxy(values, sizes, self.box_format)
        with np.errstate(invalid="ignore"):
            empty = np.flatnonzero((corners[:, 2:] == corners[:, :2]).any(axis=1))
        around = boxes_of_segments([annotations[row].segmentation for row in empty.tolist()])
        with np.errstate(invalid="ignore"):
            shows = (around[:, 2:] > around[:, :2]).all(axis=1)
        lacking = np.array([annotations[row].bbox is None for row in empty.tolist()], np.bool_) & ~shows
        for row in empty[lacking].tolist():
            remedy = "Give it a bbox, or polygons or run lengths to derive it from."
            problems.append(Problem("error", "object without box", *place(row), "", remedy))
        boxes, keep = np.zeros_like(values), np.zeros(len(values), np.bool_)
        derived = empty[shows]
        stated = np.setdiff1d(np.arange(len(values)), [*derived, *empty[lacking]])

        def clean(part: Int64[np.ndarray, " part"], written: Float64[np.ndarray, "part 4"], form: BoxFormat) -> None:
            cleaned = clean_boxes(written, sizes[part], form, str(self.file), lambda row: place(int(part[row])))
            boxes[part], keep[part] = cleaned.boxes, cleaned.keep
            problems.extend(cleaned.problems)

        clean(stated, values[stated], self.box_format)
        clean(derived, around[shows], "xyxy")
        return boxes, keep

    def _distinct(
        self,
        entries: Sequence[Image] | Sequence[Category],
        name: str,
        keys: Int64[np.ndarray, " entries"],
        wanted: Int64[np.ndarray, " references"],
        problems: list[Problem],
    ) -> list[int]:
        """Return the positions of the first entries with each id, and report the others."""
        first = {key: position for position, key in reversed([*enumerate(keys.tolist())])}
        repeated = _repeated(keys)
        referred = set(wanted[np.isin(wanted, keys[repeated])].tolist()) if repeated else set()
        for position in repeated:
            entry, other = entries[position], entries[first[int(keys[position])]]
            value = entry.file_name if isinstance(entry, Image) else str(entry.name)
            before = other.file_name if isinstance(other, Image) else str(other.name)
            record = f"{name} {entry.id}"
            if value != before and int(keys[position]) in referred:
                remedy = "Give every one its own id."
                problem = Problem("error", f"{name} id occurs twice", str(self.file), record, value, remedy)
            else:
                remedy = "It was left out."
                problem = Problem("warning", f"{name} id occurs twice", str(self.file), record, value, remedy)
            problems.append(problem)
        left_out = set(repeated)
        return [position for position in range(len(entries)) if position not in left_out]

    def _named_safely(self, image: Image, problems: list[Problem]) -> bool:
        unsafe = unsafe_name(image.file_name, self.images)
        if unsafe:
            remedy = f"Write a name relative to {self.images}."
            value = repr(image.file_name)
            problems.append(Problem("error", unsafe, str(self.file), f"image {image.id}", value, remedy))
        return not unsafe


def _keys(*lists: Sequence[int | str]) -> list[Int64[np.ndarray, " identifiers"]]:
    """Replace identifiers by numbers that are equal where the identifiers are; 60 and "60" are taken for the same."""
    packed = [pack_identifiers(identifiers) for identifiers in lists]
    numbers = [keys for keys in packed if not isinstance(keys, PackedStrings)]
    if len(numbers) == len(lists):
        return numbers
    codes: dict[str, int] = {}
    return [
        np.array([codes.setdefault(str(identifier), len(codes)) for identifier in identifiers], np.int64)
        for identifiers in lists
    ]


def _repeated(keys: Int64[np.ndarray, " entries"]) -> list[int]:
    """Return the positions of keys that occur before."""
    order = np.argsort(keys, kind="stable")
    positions: list[int] = np.sort(order[1:][keys[order[1:]] == keys[order[:-1]]]).tolist()
    return positions


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
