"""What the files of a data set show when each is read: damage, contradictions, and what training would not notice."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.datasets.file_dataset import FileDataset
from visiontasks.data.datasets.instances import InstanceDataset
from visiontasks.data.datasets.tasks import SegmentationDataset
from visiontasks.data.images.mask_reading import read_palette
from visiontasks.data.images.reading import read_orientation, read_values
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.problems import Problem
from visiontasks.data.measuring.instances import DrawnMasks, draw_masks, mask_problems
from visiontasks.data.measuring.masks import Palettes
from visiontasks.data.measuring.unseen import unseen_classes
from visiontasks.errors import ArgumentError, DataError, UnreadableFileError
from visiontasks.types import IGNORED

_FEW_LEVELS = 64
"""Number of grey levels of 256 below which 16-bit values count as those of fewer bits."""


@dataclass
class SplitReport:
    """Contents of a split.

    Attributes:
        images: Number of images.
        counts: Number of objects of each class; in segmentation the number of pixels, once files are read.
        sizes: (height, width) of the images whose size is known.
        boxes: Side of each box in pixels: the square root of its area.
        ignored: Number of counted objects that are marked as ignored.
        masks: Number of objects that have a mask; None if masks are not learnt.
        unread_masks: Number of objects whose mask is there, but not learnt.
        ignored_pixels: Number of pixels of masks that are ignored, once files are read.
        origin: Where its images come from, as :meth:`~visiontasks.data.datamodules.splits.Splits.origin` says.
    """

    images: int
    counts: Int64[np.ndarray, " classes"]
    sizes: Int64[np.ndarray, "images 2"] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    boxes: Float64[np.ndarray, " boxes"] = field(default_factory=lambda: np.zeros(0))
    ignored: int = 0
    masks: int | None = None
    unread_masks: int = 0
    ignored_pixels: int = 0
    origin: str = "own"


class Origin(NamedTuple):
    """Where an image is.

    Attributes:
        split: Its split.
        name: Its name in messages about other images.
        label: Name of its class, if each image has one.
    """

    split: str
    name: str
    label: str = ""


Seen = dict[bytes, Origin]
"""The first image with each content."""


class _File(NamedTuple):
    """What reading an image and its mask showed.

    Attributes:
        digest: Of the content of the image file; empty if it could not be read.
        size: (height, width); 0 if it could not be read.
        pixels: Number of pixels of each value of the mask.
        palette: Colours that the values of the mask stand for.
        orientation: EXIF orientation of the image, 1 if it is shown as it is stored.
        deep: Maximum of 16-bit values that use few of their bits; 0 for others.
        outside: Whether the file is a link that leads out of the folder of the data set.
        masks: The masks of the objects, if there are any.
        problems: What is wrong with the files.
    """

    digest: bytes
    size: tuple[int, int]
    pixels: np.ndarray | None
    palette: UInt8[np.ndarray, "entries 3"] | None
    orientation: int
    deep: int
    outside: bool
    masks: DrawnMasks | None
    problems: list[Problem]


class _Files(Dataset[_File]):
    """Reads each image and its mask, and reports what is wrong."""

    def __init__(self, dataset: FileDataset[Any], split: str) -> None:
        self.dataset = dataset
        self.split = split
        self.root = Path(dataset.index.root).resolve()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> _File:
        file = self.dataset.index.file(index)
        problems: list[Problem] = []
        size, digest, deep = (0, 0), b"", 0
        counts: np.ndarray | None = None
        palette: np.ndarray | None = None
        masks: DrawnMasks | None = None

        def report(error: DataError, kind: str) -> None:
            skipped = self.dataset.on_error != "raise" and isinstance(error, UnreadableFileError)
            remedy = "It is left out; on_error='raise' stops at it." if skipped else "Replace the file."
            severity: Literal["error", "warning"] = "warning" if skipped else "error"
            problems.append(Problem(severity, kind, str(file), self.split, str(error), remedy))

        try:
            digest = hashlib.blake2b(file.read_bytes(), digest_size=16).digest()
            pixels = self.dataset.pixels(index)
            size = (pixels.shape[0], pixels.shape[1])
            deep = self._deep_maximum(file, pixels)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):  # already among the problems of the annotations
                report(UnreadableFileError(str(error)), "image cannot be read")
        except DataError as error:
            report(error, "image cannot be used")
        if (
            size != (0, 0)
            and isinstance(self.dataset, InstanceDataset)
            and getattr(self.dataset.index, "segments", None)
        ):
            try:
                masks = draw_masks(self.dataset, index)
            except DataError as error:
                report(error, "masks cannot be used")
        if size != (0, 0) and isinstance(self.dataset, SegmentationDataset):
            try:
                counts = np.bincount(self.dataset.mask(index).ravel(), minlength=IGNORED + 1)
                palette = self._palette(index)
                if not counts[:IGNORED].any():
                    remedy = "It does not contribute to training; leave it out, or annotate it."
                    problems.append(Problem("warning", "every pixel is ignored", str(file), self.split, "", remedy))
            except ArgumentError:  # there are no masks at all, which is reported once
                pass
            except DataError as error:
                report(error, "mask cannot be used")
        turned = read_orientation(file) if digest and self.dataset.reading.exif else 1
        outside = not Path(os.path.realpath(file)).is_relative_to(self.root)
        return _File(digest, size, counts, palette, turned, deep, outside, masks, problems)

    def _deep_maximum(self, file: Path, pixels: np.ndarray) -> int:
        if self.dataset.reading.value_range is not None or pixels.max(initial=0) >= _FEW_LEVELS:
            return 0
        values = read_values(file, self.dataset.reading.max_pixels)
        return int(values.max()) if values.dtype.kind in "iu" and values.itemsize == 2 else 0

    def _palette(self, index: int) -> np.ndarray | None:
        masks = self.dataset.index.masks
        return read_palette(Path(self.dataset.index.root) / masks[index]) if masks is not None else None


def check_files(
    data: FileData, indices: dict[str, ImageIndex], splits: dict[str, SplitReport], workers: int
) -> list[Problem]:
    """Read all files; sizes and pixels of classes are written into the reports of the splits.

    Args:
        data: The data module.
        indices: The images of each split.
        splits: What is known of each split.
        workers: Number of processes that read files.
    """
    problems: list[Problem] = []
    seen: Seen = {}
    palettes = Palettes()
    with tqdm(desc="reading files", total=sum(map(len, indices.values())), unit=" images", disable=None) as bar:
        for split, index in indices.items():
            sizes, pixels, noticed = [], np.zeros(IGNORED + 1, np.int64), _Noticed(index, split)
            drawn: list[DrawnMasks | None] = []
            for image, read in enumerate(_read(data.dataset(split), split, workers)):
                bar.update()
                problems += read.problems
                sizes.append(read.size)
                drawn.append(read.masks)
                noticed.add(image, read)
                if read.pixels is not None:
                    pixels += read.pixels
                    palettes.add(read.palette, read.pixels, str(index.file(image)))
                if read.digest:
                    file = str(index.file(image))
                    label = _class_of(index, image) if data.yields == "classification" else ""
                    problems += repeats(seen, read.digest, Origin(split, file, label), (file, split))
            problems += [*noticed.problems(), *mask_problems(drawn, index, split)]
            if any(drawn):
                splits[split].masks = sum(masks.shown for masks in drawn if masks)
            known = np.array(sizes, np.int64).reshape(-1, 2)
            splits[split].sizes = known[(known > 0).all(1)]
            if data.task == "segmentation":
                splits[split].counts, splits[split].ignored_pixels = pixels[: data.num_classes], int(pixels[IGNORED])
                # If there are none at all, other problems say why.
                if split == "train" and splits[split].counts.any():
                    problems += unseen_classes(data.class_names, splits[split].counts, "pixels", str(index.root))
    return [*problems, *palettes.problems(str(data.root))]


class _Noticed:
    """Collects what many files of a split share, to be reported once with its number and the first file."""

    def __init__(self, index: ImageIndex, split: str) -> None:
        self.index = index
        self.split = split
        self.turned: list[int] = []
        self.outside: list[int] = []
        self.deep: list[int] = []
        self.maximum = 0
        self.orientation = 1

    def add(self, image: int, read: _File) -> None:
        if read.orientation != 1:
            self.turned.append(image)
            self.orientation = self.orientation if len(self.turned) > 1 else read.orientation
        if read.outside:
            self.outside.append(image)
        if read.deep:
            self.deep.append(image)
            self.maximum = max(self.maximum, read.deep)

    def problems(self) -> Iterator[Problem]:
        placed = self.index.boxes is not None or self.index.masks is not None or self.index.segments is not None
        if self.turned and placed:
            remedy = (
                "Boxes and masks are taken for those of the images as they are displayed; if they were drawn on the "
                "pixels as they are stored, read them with exif='ignore'."
            )
            value = f"{self._value(self.turned)} (orientation {self.orientation})"
            yield self._problem("annotated images have an EXIF orientation", value, remedy)
        if self.outside:
            remedy = "They are read; copy the files if the folder is to be moved."
            yield self._problem("links that lead out of the folder", self._value(self.outside), remedy)
        if 2 * len(self.deep) > len(self.index):
            remedy = (
                f"Only the upper byte is kept, {(self.maximum >> 8) + 1} grey levels. Map them by "
                f"value_range=(0, {self.maximum}) or 'percentiles'."
            )
            value = f"{self._value(self.deep)}, the maximum {self.maximum} of 65535"
            yield self._problem("16-bit values that use few of their bits", value, remedy)

    def _value(self, images: list[int]) -> str:
        return f"{len(images)} of {len(self.index)}, the first is {str(self.index.file(images[0]))!r}"

    def _problem(self, kind: str, value: str, remedy: str) -> Problem:
        return Problem("warning", kind, str(self.index.root), self.split, value, remedy)


def repeats(seen: Seen, digest: bytes, origin: Origin, record: tuple[str, str]) -> list[Problem]:
    """Report an image whose content was seen before.

    Args:
        seen: The first image with each content, to which this one is added.
        digest: Of its content.
        origin: Where this one is.
        record: File and record of the problem.
    """
    first = seen.setdefault(digest, origin)
    if first is origin:
        return []
    kind, remedy = "same image in two splits", "Take it out of one of them: a score on a training image is too high."
    if first.split == origin.split:
        kind, remedy = "same image twice in a split", "It counts twice; take one out unless that is intended."
    value = f"in {first.split} as {first.name}"
    if first.label != origin.label:
        kind, remedy = "same image in two classes", "At most one of them is right; take it out of the other."
        value = f"{origin.label!r} here, {first.label!r} {value}"
    return [Problem("warning", kind, *record, value, remedy)]


def _class_of(index: ImageIndex, image: int) -> str:
    labels = index.objects(image).labels
    return index.class_names[labels[0]] if len(labels) else ""


def _read(dataset: FileDataset[Any], split: str, workers: int) -> Iterator[_File]:
    yield from DataLoader(_Files(dataset, split), batch_size=None, num_workers=workers, collate_fn=_identity)


def _identity(read: Any) -> Any:  # noqa: ANN401 (as DataLoader has it)
    return read
