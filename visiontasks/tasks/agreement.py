"""Checks that data fit a task."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from visiontasks.description import DataDescription
from visiontasks.errors import ArgumentError, listed
from visiontasks.types import IGNORED, SegmentationBatch, ids_of

if TYPE_CHECKING:
    import visiontasks.tasks.task

_TASKS = {
    "classification": "ClassificationTask",
    "multilabel classification": "ClassificationTask with mode='multilabel'",
    "localization": "LocalizationTask",
    "detection": "DetectionTask",
    "instances": "InstanceSegmentationTask",
    "segmentation": "SegmentationTask",
    "autoencoding": "AutoencodingTask",
}
"""The task that takes what data yield."""
_DATA = {
    "classification": ("Folder", "CSV", "COCO", "VOC", "MNIST", "Shapes"),
    "localization": ("CSV", "COCO", "VOC", "YOLO", "Shapes"),
    "detection": ("CSV", "COCO", "VOC", "YOLO", "Shapes"),
    "instances": ("COCO", "VOC", "YOLO", "MaskFolder", "Shapes"),
    "segmentation": ("MaskFolder", "COCO", "VOC", "YOLO", "Shapes"),
}
"""Data modules of what a task takes, without the end of their names."""


def check_agreement(data: DataDescription, data_name: str, task_name: str, takes: str | None, in_channels: int) -> None:
    """Check that a data module yields what a task takes.

    Args:
        data: The data module. If it does not declare what it yields, it is accepted.
        data_name: Its name, for messages.
        task_name: Name of the task.
        takes: What the task takes, such as ``"classification"``; None for anything.
        in_channels: Number of image channels that the task was created for.

    Raises:
        ArgumentError: If they differ.
    """
    yields = getattr(data, "yields", None)
    if takes is not None and yields is not None and yields != takes:
        modes = {"classification": "multiclass", "multilabel classification": "multilabel"}
        if takes in modes and yields in modes:
            remedy = f"Use --model.mode {modes[yields]}."
        else:
            remedy = _fitting(data, takes, yields)
        message = f"{data_name} yields batches of {yields}, {task_name} takes {takes}. {remedy}"
        raise ArgumentError(message)
    if data.in_channels != in_channels:
        message = (
            f"The images of the data have {data.in_channels} channels, the task was made for in_channels={in_channels}."
        )
        raise ArgumentError(message)


def _fitting(data: DataDescription, takes: str, yields: str) -> str:
    """Name what can be changed: the task of the data, the task, or the data."""
    kind, other = takes.removeprefix("multilabel "), _TASKS.get(yields)
    remedies = [f"train {other} on these data"] if other else []
    if kind in getattr(data, "tasks", ()):
        remedies.insert(0, f"create the data with task={kind!r}")
    elif kind in _DATA:
        *first, last = [f"{name}DataModule" for name in _DATA[kind]]
        remedies.append(f"use data of {', '.join(first)} or {last}")
    sentence = ", or ".join(remedies) or "change one of them"
    return f"{sentence[0].upper()}{sentence[1:]}."


def check_classes(data: DataDescription, num_classes: int, class_names: Sequence[str] | None) -> list[str]:
    """Check that the classes of the data are those of a task.

    Args:
        data: The data module.
        num_classes: Number of classes that the task was created for.
        class_names: Names of the task's classes, if it has any.

    Returns:
        The names.

    Raises:
        ArgumentError: If they differ.
    """
    if data.num_classes != num_classes:
        message = (
            f"The data have {data.num_classes} classes, the task was made for num_classes={num_classes}. "
            "Leave num_classes to the data, or check that these are the data that you mean."
        )
        raise ArgumentError(message)
    names = list(data.class_names)
    if class_names is not None and names != list(class_names):
        message = (
            f"The classes of the data are {listed(names)}, those of the task {listed(class_names)}; expected the same, "
            "in the same order."
        )
        raise ArgumentError(message)
    return names


def check_entries(num_classes: int, **given: Sequence[object] | None) -> None:
    """Check that per-class arguments have one entry for each class.

    Args:
        num_classes: Number of classes.
        **given: The arguments by name; None for one that is not given.

    Raises:
        ArgumentError: If an argument has another number of entries, is a text, whose letters are not entries, or has
            numbers that are negative, or all 0.
    """
    for name, values in given.items():
        if isinstance(values, str):
            message = f"{name} is {values!r}; expected one entry per class, in a list."
            raise ArgumentError(message)
        if values is not None and len(values) != num_classes:
            message = f"{name} has {len(values)} entries for num_classes={num_classes}; expected one per class."
            raise ArgumentError(message)
        numbers = [value for value in values or () if isinstance(value, int | float)]
        if numbers and (min(numbers) < 0 or not max(numbers) > 0):
            message = f"{name} is {listed([f'{one:g}' for one in numbers])}; expected at least 0, and more for some."
            raise ArgumentError(message)


def check_precision(precision: str) -> None:
    """Check that boxes stay in float32: Lightning's "true" precisions cast all floats of batches and anchors.

    Args:
        precision: The trainer's precision.

    Raises:
        ArgumentError: If it casts everything to 16 bits.
    """
    if precision in ("bf16-true", "16-true"):
        message = (
            f"precision is {precision!r}, in which boxes are off by pixels. Use "
            f"{precision.replace('true', 'mixed')!r}, in which they stay in float32."
        )
        raise ArgumentError(message)


def check_proposals(batch: Any) -> None:  # noqa: ANN401 (whatever a loader yields)
    """Check that a batch has proposals.

    Raises:
        ArgumentError: If it has none.
    """
    if not hasattr(batch, "proposals"):
        message = (
            f"proposals is 'precomputed', and a {type(batch).__name__} has none. Make a file of them with "
            "visiontasks propose, and name it to the data module (--data.proposals FILE)."
        )
        raise ArgumentError(message)


def check_masks(batch: SegmentationBatch, num_classes: int, mode: str) -> None:
    """Check the pixel labels of a batch if they are on the CPU.

    Args:
        batch: The batch.
        num_classes: Number of values that a pixel can have; multilabel: number of classes.
        mode: Mode of the task; see :class:`~visiontasks.tasks.segmentation.SegmentationTask`.

    Raises:
        ArgumentError: If a label is not a class, or masks and images differ in size.
    """
    images, masks = batch.images, batch.masks
    layers = (num_classes,) if mode == "multilabel" else ()
    expected = (len(images), *layers, *images.shape[-2:])
    if tuple(masks.shape) != expected:
        message = (
            f"The masks have shape {list(masks.shape)} for images of shape {list(images.shape)}; expected "
            f"{list(expected)}. Masks are resized and cropped with their images."
        )
        raise ArgumentError(message)
    if masks.device.type != "cpu":
        return
    largest = 1 if layers else num_classes - 1
    wrong = (masks > largest) & (masks != IGNORED)
    if wrong.any():
        values = masks[wrong].unique().tolist()
        ids = ids_of(batch)[wrong.flatten(1).any(1)].tolist()
        message = (
            f"The masks of the images with ids {ids} have pixels of value {', '.join(map(str, values[:5]))}; expected "
            f"0 to {largest}, or {IGNORED} for what is to be ignored. Correct the masks or num_classes."
        )
        raise ArgumentError(message)


def check_labels(task: "visiontasks.tasks.task.Task", batch: Any) -> None:  # noqa: ANN401 (of any task)
    """Check the labels of images or objects; on an accelerator this waits for it.

    Args:
        task: The task; nothing is checked for one without classes.
        batch: The batch; nothing is checked if it has no labels.

    Raises:
        ArgumentError: If a label is not a class, or their shape is not the one of the mode.
    """
    labels, classes = getattr(batch, "labels", None), task.num_classes
    if classes is None or not isinstance(labels, Tensor) or not labels.numel():
        return
    of_each_class = getattr(task, "mode", None) == "multilabel" or labels.is_floating_point()
    if of_each_class and tuple(labels.shape) != (len(batch.images), classes):
        message = (
            f"The labels have shape {list(labels.shape)} and type {labels.dtype}; expected integers of shape "
            f"{[len(batch.images)]}, or one value from 0 to 1 for each class, shape {[len(batch.images), classes]}."
        )
        raise ArgumentError(message)
    # An image or a place without an object has the label -1.
    least, largest = -1 if hasattr(batch, "boxes") else 0, 1 if of_each_class else classes - 1
    wrong = ~((labels >= least) & (labels <= largest))
    if wrong.any():
        values = labels[wrong].unique().tolist()
        ids = ids_of(batch)[wrong.flatten(1).any(1) if wrong.ndim > 1 else wrong].tolist()
        found = listed([str(value) for value in values], 5)
        message = (
            f"The labels of the images with ids {listed([str(one) for one in ids])} are {found}; expected 0 to "
            f"{largest}{' (-1: no object)' if least else ''}. Correct the labels, or num_classes, which is {classes}."
        )
        raise ArgumentError(message)
