"""Validation of a data set before training: annotations, files, and images that splits share."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from visiontasks.data.check_files import Origin, Seen, SplitReport, check_files, repeats
from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.datamodules.splits import SPLITS
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.datasets.tasks import SegmentationDataset
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.problems import Problem
from visiontasks.data.measuring.masks import first_masks
from visiontasks.data.measuring.unseen import binary_masks, similar_classes, unseen_classes
from visiontasks.data.vision_data import VisionData
from visiontasks.errors import DataError


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


def check(data: VisionData, *, files: bool = True, workers: int | None = None) -> Report:
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
    if not isinstance(data, FileData):
        return _check_memory(data)
    data.splits.strict = False
    problems: list[Problem] = []
    splits: dict[str, SplitReport] = {}
    indices: dict[str, ImageIndex] = {}
    for split in data.splits.distinct:
        index, of_split = data.splits[split].index, data.splits[split].problems
        # Problems that splits of one table or folder share are reported once.
        problems += [problem for problem in of_split if problem not in problems] if len(of_split) < 1000 else of_split
        indices[split] = index
        sides = np.zeros(0) if index.boxes is None else (index.boxes[:, 2:] - index.boxes[:, :2]).clip(0).prod(1) ** 0.5
        known = index.sizes[(index.sizes > 0).all(1)].astype(np.int64)
        # In segmentation the last pixel values are the classes of the objects; a split may have others by mistake.
        background = data.num_classes - len(data.splits.class_names)
        counts = np.bincount(background + index.labels, minlength=data.num_classes)[: data.num_classes]
        masks = None if index.segments is None else int(index.segments.known().sum())
        learnt = masks if data.task == "instances" else None
        unread = masks or 0 if data.task in ("detection", "localization") and "instances" in data.tasks else 0
        ignored, origin = int(index.ignore.sum()), data.splits.origin(split)
        splits[split] = SplitReport(len(index), counts, known, sides, ignored, learnt, unread, origin=origin)
        problems += _task_problems(data, split, index, masks=not files)
        if split == "train" and data.task != "segmentation":
            reported = {problem.record for problem in of_split}  # such as empty class folders
            unseen = unseen_classes(data.class_names, counts, "objects", str(index.root))
            problems += [problem for problem in unseen if problem.record not in reported]
    counted: str | None = "objects"
    if data.task == "segmentation" and (files or any(index.masks is not None for index in indices.values())):
        counted = "pixels" if files else None
    if files:
        problems += check_files(data, indices, splits, data.num_workers if workers is None else workers)
    return Report(data.class_names, counted, splits, problems)


def task_problems(data: FileData, splits: Sequence[str]) -> list[Problem]:
    """Find images that the task cannot use although their annotations have no errors; ``fit`` runs this check first.

    Args:
        data: The data module.
        splits: The splits to check.
    """
    separate = [split for split in data.splits.distinct if split in splits]
    problems = [
        problem for split in separate for problem in _task_problems(data, split, data.splits[split].index, masks=True)
    ]
    trained = data.splits["train"].index
    for split in separate:
        index = data.splits[split].index
        if split != "train" and index.root == trained.root:
            shared = len({*index.files} & {*trained.files})
            if shared:
                remedy = "Scores on images that were trained on are too good; use different images in each split."
                value = f"{shared} of {len(index)}"
                problems.append(Problem("warning", "images are also trained on", str(index.root), split, value, remedy))
    return problems


def _task_problems(data: FileData, split: str, index: ImageIndex, *, masks: bool) -> list[Problem]:
    """Find images that the task cannot use; ``masks`` says whether some of the masks are read."""
    if not len(index):
        remedy = "Add images, or change the splits."
        return [Problem("error", "split without images", str(index.root), split, "", remedy)]
    unlabelled = np.flatnonzero(np.diff(index.offsets) == 0)
    problems = similar_classes(data.splits.class_names, str(index.root)) if split == "train" else []
    if data.yields == "classification":
        kind, remedy = "image without class", "Leave it out, or train multilabel."
        problems += [Problem("error", kind, str(index.file(image)), split, "", remedy) for image in unlabelled.tolist()]
        if split == "train" and len(index.class_names) == 1:
            remedy = "With one class there is nothing to learn; name the folder that holds the folders of the classes."
            problems.append(Problem("error", "only one class", str(index.root), index.class_names[0], "", remedy))
        return problems
    if data.task in ("detection", "instances", "localization") and not len(index.labels):
        if split == "train":
            remedy = "Nothing is left to learn: annotate some, or correct what describes them."
            return [*problems, Problem("error", "no objects to train on", str(index.root), split, "", remedy)]
        remedy = "Its scores are not defined: annotate some, or name another split."
        return [*problems, Problem("warning", "split without objects", str(index.root), split, "", remedy)]
    if data.task == "instances" and index.segments is None:
        remedy = "Each object needs a mask: use data with them, or task='detection', which learns the boxes."
        return [*problems, Problem("error", "no polygons or run lengths", str(index.root), split, "", remedy)]
    if data.task == "segmentation":
        if index.masks is None and index.segments is None:
            remedy = "Use data with them, or task='detection'."
            return [*problems, Problem("error", "no polygons or run lengths", str(index.root), split, "", remedy)]
        dataset = data.dataset(split, cache=False)
        assert isinstance(dataset, SegmentationDataset)
        return [
            *problems,
            *(first_masks(dataset, split) if masks else ()),
            *(binary_masks(dataset) if split == "train" else ()),
        ]
    if data.task == "localization" and len(unlabelled):
        value = f"{len(unlabelled)} images, the first is {str(index.file(int(unlabelled[0])))!r}"
        remedy = "They count as images without an object."
        problems.append(Problem("warning", "nothing to localize", str(index.root), split, value, remedy))
    return problems


def _check_memory(data: VisionData) -> Report:
    """Check a data set that is read as a whole; reading it finds what is wrong with its files."""
    data.prepare_data()
    for stage in ("fit", "test"):
        data.setup(stage)
    splits: dict[str, SplitReport] = {}
    problems: list[Problem] = []
    seen: Seen = {}
    for split, dataset in zip(SPLITS, (data.train_set, data.val_set, data.test_set), strict=True):
        if not isinstance(dataset, MemoryDataset):
            message = f"{type(data).__name__} is neither of files nor in memory; check knows how to read those only."
            raise DataError(message)
        counts = dataset.class_counts(data.num_classes).with_class.numpy()
        size = np.array(dataset.pixels.shape[1:3], np.int64)
        splits[split] = SplitReport(len(dataset), counts, np.tile(size, (len(dataset), 1)))
        for image, pixels in zip(dataset.ids.tolist(), dataset.pixels.numpy(), strict=True):
            digest = hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest()
            problems += repeats(seen, digest, Origin(split, f"image {image}"), (split, f"image {image}"))
    return Report(data.class_names, "images", splits, problems)
