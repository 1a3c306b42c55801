"""Scoring of a trained task on other labelled data: what its checkpoint knows, and what the data take over from it."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor

from visiontasks.data.augmentation.evaluation_view import EvaluationView
from visiontasks.data.augmentation.resizing import Resizing
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.images.reading import Reading
from visiontasks.errors import ArgumentError, near_matches

ScoredSplit = Literal["train", "val", "test", "all"]


class Trained(NamedTuple):
    """What a checkpoint knows of the data that its task was trained on.

    Attributes:
        class_names: Names of the classes in the order of the labels; None for a task without classes.
        in_channels: Number of channels of the images.
        view: How images were brought to the network in evaluation, see
            :class:`~visiontasks.data.augmentation.evaluation_view.EvaluationView`; None if it is unknown.
        takes: Kind of the batches; None for any.
        root: Folder of the data; None if there is none, or it is unknown.
    """

    class_names: tuple[str, ...] | None
    in_channels: int
    view: dict[str, Any] | None
    takes: str | None = None
    root: str | None = None


def matched_names(own: Sequence[str], trained: Trained | None) -> tuple[str, ...]:
    """Return the classes by which data are labelled: their own, or those of the task that is scored on them.

    Args:
        own: Names of the classes of the data.
        trained: What is known of the task, if it is scored.

    Raises:
        ArgumentError: If the task does not know one of the classes.
    """
    if trained is None or trained.class_names is None:
        return tuple(own)
    unknown = [name for name in own if name not in trained.class_names]
    if unknown:
        message = (
            f"The data have the class {unknown[0]!r}, which the task was not trained on. "
            f"{near_matches(unknown[0], trained.class_names)}"
        )
        raise ArgumentError(message)
    return trained.class_names


def label_map(own: Sequence[str], names: Sequence[str]) -> Tensor | None:
    """Return the position of each of the data's own classes among others; None if nothing changes."""
    return None if tuple(own) == tuple(names) else torch.tensor([names.index(name) for name in own])


def scored_in_memory(sets: Sequence[Any], labels: Tensor | None) -> MemoryDataset:
    """Join data sets in memory, and take other labels for their classes.

    Args:
        sets: Data sets of one kind.
        labels: The label in place of each.

    Raises:
        ArgumentError: If they are not in memory.
    """
    if not all(isinstance(each, MemoryDataset) for each in sets):
        message = f"{type(sets[0]).__name__} is not in memory: its splits cannot be joined. Score one of them."
        raise ArgumentError(message)
    first, *others = cast(Sequence[MemoryDataset], sets)
    joined = first.joined(others) if others else first
    return joined if labels is None else joined.relabelled(labels)


def sizes_as_trained(own: tuple[Resizing, int], trained: Trained | None) -> tuple[Resizing, int]:
    """Return how images are brought to size: as a checkpoint knows it, otherwise as the data do.

    Args:
        own: How the data bring images to size, and the multiple of which the sides of a batch are.
        trained: What the checkpoint knows, if one is scored.
    """
    if trained is None or trained.view is None:
        return own
    view = EvaluationView.create(trained.view)
    return view.resizing, view.multiple


def read_as_trained(reading: Reading, trained: Trained | None) -> Reading:
    """Return how files are read: with the orientation and, unless they are given, the range of values of a checkpoint.

    Args:
        reading: How the data read files.
        trained: What the checkpoint knows, if one is scored.
    """
    if trained is None or trained.view is None:
        return reading
    view = EvaluationView.create(trained.view)
    return reading._replace(value_range=reading.value_range or view.value_range, exif=reading.exif and view.exif)
