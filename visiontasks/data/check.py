"""Validation of a data set before training: annotations, files, and images that splits share."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from visiontasks.data.data_module import VisionDataModule
from visiontasks.data.datamodules.file_data_module import FileDataModule
from visiontasks.data.datamodules.splits import SPLITS
from visiontasks.data.datasets.file_dataset import FileDataset
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.datasets.tasks import SegmentationDataset
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.problems import Problem
from visiontasks.data.measuring.unseen import binary_masks, unseen_classes
from visiontasks.errors import ArgumentError, DataError, UnreadableFileError
from visiontasks.types import IGNORED


@dataclass
class SplitReport:
    """Contents of a split.

    Attributes:
        images: Number of images.
        counts: Number of objects of each class; in segmentation the number of pixels, once files are read.
        sizes: (height, width) of the images whose size is known.
        boxes: Side of each box in pixels: the square root of its area.
        ignored: Number of counted objects that are marked as ignored.
    """

    images: int
    counts: Int64[np.ndarray, " classes"]
    sizes: Int64[np.ndarray, "images 2"] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    boxes: Float64[np.ndarray, " boxes"] = field(default_factory=lambda: np.zeros(0))
    ignored: int = 0


@dataclass
class Report:
    """Result of a check.

    Attributes:
        class_names: Names of the classes.
        counted: What is counted per class: ``"objects"``, ``"images"`` or ``"pixels"``; None if they are in masks
            that were not read.
        splits: The splits by name.
        problems: All problems found.
    """

    class_names: tuple[str, ...]
    counted: str | None
    splits: dict[str, SplitReport]
    problems: list[Problem]

    @property
    def exit_code(self) -> int:
        """0 for clean data, 1 with warnings, 2 with errors."""
        severities = {problem.severity for problem in self.problems}
        return 2 if "error" in severities else 1 if severities else 0


def check(data: VisionDataModule, *, files: bool = True, workers: int | None = None) -> Report:
    """Check a data set.

    Args:
        data: The data module; from then on it reports errors in its annotations as problems instead of raising them.
        files: Whether every image and mask is decoded and compared with its annotations and with the images of other
            splits; otherwise only the annotations are checked.
        workers: Number of processes that read files; by default that of the data module.

    Returns:
        What was found.

    Raises:
        DataError: If there is no data set to check.
    """
    if not isinstance(data, FileDataModule):
        return _check_memory(data)
    data.splits.strict = False
    problems: list[Problem] = []
    splits: dict[str, SplitReport] = {}
    indices: dict[str, ImageIndex] = {}
    for split in SPLITS:
        if data.splits.origin(split) == "val":
            continue
        index, found = data.splits[split].index, data.splits[split].problems
        # Problems that splits of one table or folder share are reported once.
        problems += [problem for problem in found if problem not in problems] if len(found) < 1000 else found
        indices[split] = index
        sides = np.zeros(0) if index.boxes is None else (index.boxes[:, 2:] - index.boxes[:, :2]).clip(0).prod(1) ** 0.5
        known = index.sizes[(index.sizes > 0).all(1)].astype(np.int64)
        # In segmentation the last pixel values are the classes of the objects; a split may have others by mistake.
        background = data.num_classes - len(data.splits.class_names)
        counts = np.bincount(background + index.labels, minlength=data.num_classes)[: data.num_classes]
        splits[split] = SplitReport(len(index), counts, known, sides, int(index.ignore.sum()))
        problems += _task_problems(data, split, index)
        if split == "train" and data.task != "segmentation":
            reported = {problem.record for problem in found}  # such as empty class folders
            unseen = unseen_classes(data.class_names, counts, "objects", str(index.root))
            problems += [problem for problem in unseen if problem.record not in reported]
    counted: str | None = "objects"
    if data.task == "segmentation" and (files or any(index.masks is not None for index in indices.values())):
        counted = "pixels" if files else None
    if files:
        problems += _check_files(data, indices, splits, data.num_workers if workers is None else workers)
    return Report(data.class_names, counted, splits, problems)


def task_problems(data: FileDataModule, splits: Sequence[str]) -> list[Problem]:
    """Find images that the task cannot use although their annotations have no errors; ``fit`` runs this check first.

    Args:
        data: The data module.
        splits: The splits to check.
    """
    own = [split for split in splits if data.splits.origin(split) != "val"]
    found = [problem for split in own for problem in _task_problems(data, split, data.splits[split].index)]
    trained = data.splits["train"].index
    for split in own:
        index = data.splits[split].index
        if split != "train" and index.root == trained.root:
            shared = len({*index.files} & {*trained.files})
            if shared:
                remedy = "Scores on them say nothing: train on images of their own."
                value = f"{shared} of {len(index)}"
                found.append(Problem("warning", "images are also trained on", str(index.root), split, value, remedy))
    return found


class _File(NamedTuple):
    digest: bytes
    size: tuple[int, int]
    pixels: np.ndarray | None
    problems: list[Problem]


class _Files(Dataset[_File]):
    """Reads each image and its mask, and reports what is wrong."""

    def __init__(self, dataset: FileDataset[Any], split: str) -> None:
        self.dataset = dataset
        self.split = split

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> _File:
        file = self.dataset.index.file(index)
        problems: list[Problem] = []
        size, digest, counts = (0, 0), b"", None

        def report(error: DataError, kind: str) -> None:
            skipped = self.dataset.on_error != "raise" and isinstance(error, UnreadableFileError)
            remedy = "It is left out; on_error='raise' stops at it." if skipped else "Replace the file."
            severity: Literal["error", "warning"] = "warning" if skipped else "error"
            problems.append(Problem(severity, kind, str(file), self.split, str(error), remedy))

        try:
            digest = hashlib.blake2b(file.read_bytes(), digest_size=16).digest()
            pixels = self.dataset.pixels(index)
            size = (pixels.shape[0], pixels.shape[1])
        except OSError as error:
            if not isinstance(error, FileNotFoundError):  # already among the problems of the annotations
                report(UnreadableFileError(str(error)), "image cannot be read")
        except DataError as error:
            report(error, "image cannot be used")
        if size != (0, 0) and isinstance(self.dataset, SegmentationDataset):
            try:
                counts = np.bincount(self.dataset.mask(index).ravel(), minlength=IGNORED + 1)
                if not counts[:IGNORED].any():
                    remedy = "Training takes nothing from it; leave it out, or annotate it."
                    problems.append(Problem("warning", "every pixel is ignored", str(file), self.split, "", remedy))
            except ArgumentError:  # there are no masks at all, which is reported once
                pass
            except DataError as error:
                report(error, "mask cannot be used")
        return _File(digest, size, counts, problems)


def _check_files(
    data: FileDataModule, indices: dict[str, ImageIndex], splits: dict[str, SplitReport], workers: int
) -> list[Problem]:
    problems: list[Problem] = []
    seen: _Seen = {}
    with tqdm(desc="reading files", total=sum(map(len, indices.values())), unit=" images", disable=None) as bar:
        for split, index in indices.items():
            sizes, pixels = [], np.zeros(IGNORED + 1, np.int64)
            for image, found in enumerate(_read(data.dataset(split), split, workers)):
                bar.update()
                problems += found.problems
                sizes.append(found.size)
                if found.pixels is not None:
                    pixels += found.pixels
                if found.digest:
                    file = str(index.file(image))
                    problems += _repeats(seen, found.digest, split, file, (file, split))
            read = np.array(sizes, np.int64).reshape(-1, 2)
            splits[split].sizes = read[(read > 0).all(1)]
            if data.task == "segmentation":
                splits[split].counts = pixels[: data.num_classes]
                # If there are none at all, other problems say why.
                if split == "train" and splits[split].counts.any():
                    problems += unseen_classes(data.class_names, splits[split].counts, "pixels", str(index.root))
    return problems


def _read(dataset: FileDataset[Any], split: str, workers: int) -> Iterator[_File]:
    yield from DataLoader(_Files(dataset, split), batch_size=None, num_workers=workers, collate_fn=_identity)


def _identity(found: Any) -> Any:  # noqa: ANN401 (as DataLoader has it)
    return found


_Seen = dict[bytes, tuple[str, str]]
"""Split and name of the first image with each content."""


def _repeats(seen: _Seen, digest: bytes, split: str, name: str, place: tuple[str, str]) -> list[Problem]:
    """Report an image whose content was seen before."""
    if digest not in seen:
        seen[digest] = (split, name)
        return []
    first, other = seen[digest]
    kind, remedy = "same image in two splits", "Scores on it say nothing; take it out of one of them."
    if first == split:
        kind, remedy = "same image twice in a split", "It counts twice; take one out unless that is meant."
    return [Problem("warning", kind, *place, f"in {first} as {other}", remedy)]


def _task_problems(data: FileDataModule, split: str, index: ImageIndex) -> list[Problem]:
    """Find images that the task cannot use."""
    if not len(index):
        remedy = "Add images, or change the splits."
        return [Problem("error", "split without images", str(index.root), split, "", remedy)]
    bare = np.flatnonzero(np.diff(index.offsets) == 0)
    if data.yields == "classification":
        kind, remedy = "image without class", "Leave it out, or train multilabel."
        problems = [Problem("error", kind, str(index.file(image)), split, "", remedy) for image in bare.tolist()]
        if split == "train" and len(index.class_names) == 1:
            remedy = "Nothing is left to learn; name the folder that holds the folders of the classes, or correct them."
            problems.append(Problem("warning", "only one class", str(index.root), index.class_names[0], "", remedy))
        return problems
    if data.task == "segmentation":
        if index.masks is None and index.segments is None:
            remedy = "Use data with them, or task='detection'."
            return [Problem("error", "no polygons or run lengths", str(index.root), split, "", remedy)]
        training = data.dataset(split, cache=False) if split == "train" else None
        return binary_masks(training) if isinstance(training, SegmentationDataset) else []
    if data.task == "localization" and len(bare):
        value = f"{len(bare)} images, the first is {str(index.file(int(bare[0])))!r}"
        remedy = "They count as images without an object."
        return [Problem("warning", "nothing to localize", str(index.root), split, value, remedy)]
    return []


def _check_memory(data: VisionDataModule) -> Report:
    """Check a data set that is read as a whole; reading it finds what is wrong with its files."""
    data.prepare_data()
    for stage in ("fit", "test"):
        data.setup(stage)
    splits: dict[str, SplitReport] = {}
    problems: list[Problem] = []
    seen: _Seen = {}
    for split, dataset in zip(SPLITS, (data.train_set, data.val_set, data.test_set), strict=True):
        if not isinstance(dataset, MemoryDataset):
            message = f"{type(data).__name__} is neither of files nor in memory; check knows how to read those only."
            raise DataError(message)
        counts = dataset.class_counts(data.num_classes).with_class.numpy()
        size = np.array(dataset.pixels.shape[1:3], np.int64)
        splits[split] = SplitReport(len(dataset), counts, np.tile(size, (len(dataset), 1)))
        for image, pixels in zip(dataset.ids.tolist(), dataset.pixels.numpy(), strict=True):
            digest = hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest()
            problems += _repeats(seen, digest, split, f"image {image}", (split, f"image {image}"))
    return Report(data.class_names, "images", splits, problems)
