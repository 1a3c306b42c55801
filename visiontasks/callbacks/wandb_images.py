"""Images with boxes and masks that Weights & Biases draws itself, so that they can be switched on and off."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from visiontasks.types import (
    IGNORED,
    ClassificationPredictions,
    DetectionPredictions,
    LocalizationPredictions,
    SegmentationPredictions,
)
from visiontasks.visualization import label_names, to_rgb

if TYPE_CHECKING:
    import wandb

_LEAST = 0.05
"""Minimum score of a box that is sent; a slider in the browser raises it further."""


def wandb_images(batch: Any, predictions: Any, class_names: Sequence[str]) -> "list[wandb.Image] | None":
    """Create images with their annotations and predictions.

    Args:
        batch: A batch of any task, on the CPU.
        predictions: Its predictions, on the CPU.
        class_names: Names of the classes in the order of the labels.

    Returns:
        The images, with the groups ``ground_truth`` and ``predictions``; None if the task is not supported.
    """
    import wandb

    makers: dict[type, Callable[..., dict[str, Any]]] = {
        ClassificationPredictions: _classes,
        LocalizationPredictions: _one_box,
        DetectionPredictions: _boxes,
        SegmentationPredictions: _masks,
    }
    maker = makers.get(type(predictions))
    if maker is None:
        return None
    labels = dict(enumerate(class_names))
    images = []
    for index in range(len(batch.images)):
        height, width = batch.sizes[index].tolist() if hasattr(batch, "sizes") else batch.images.shape[-2:]
        pixels = to_rgb(batch.images[index])[:, :height, :width].permute(1, 2, 0).contiguous().numpy()
        images.append(wandb.Image(pixels, **maker(batch, predictions, index, labels)))
    return images


def _classes(batch: Any, predictions: ClassificationPredictions, index: int, labels: dict[int, str]) -> dict[str, Any]:
    found, score = predictions.labels[index], predictions.scores[index]
    names = list(labels.values())
    title = f"{label_names(found, names)} (true: {label_names(batch.labels[index], names)})"
    return {"caption": title if found.ndim else f"{title}, {float(score):.2f}"}


def _one_box(batch: Any, predictions: LocalizationPredictions, index: int, labels: dict[int, str]) -> dict[str, Any]:
    label = int(batch.labels[index])
    true = _box_data([batch.boxes[index].tolist()], [label], None, labels) if label >= 0 else []
    guess, score = int(predictions.labels[index]), float(predictions.scores[index])
    found = _box_data([predictions.boxes[index].tolist()], [guess], [score], labels)
    return {"boxes": _groups(true, found, "box_data", labels)}


def _boxes(batch: Any, predictions: DetectionPredictions, index: int, labels: dict[int, str]) -> dict[str, Any]:
    real = batch.labels[index] >= 0
    true = _box_data(batch.boxes[index, real].tolist(), batch.labels[index, real].tolist(), None, labels)
    kept = (predictions.labels[index] >= 0) & (predictions.scores[index] >= _LEAST)
    found = _box_data(
        predictions.boxes[index, kept].tolist(),
        predictions.labels[index, kept].tolist(),
        predictions.scores[index, kept].tolist(),
        labels,
    )
    return {"boxes": _groups(true, found, "box_data", labels)}


def _masks(batch: Any, predictions: SegmentationPredictions, index: int, labels: dict[int, str]) -> dict[str, Any]:
    height, width = batch.sizes[index].tolist()
    true, found = (mask[index, ..., :height, :width].numpy() for mask in (batch.masks, predictions.labels))
    names = {**labels, IGNORED: "ignored"}
    if true.ndim == 2:
        return {"masks": _groups(true, found, "mask_data", names)}
    # A group has one class per pixel: in multilabel segmentation, each class has its own group.
    groups: dict[str, Any] = {}
    for label, name in labels.items():
        for group, mask in (("ground_truth", true), ("predictions", found)):
            data = np.where(mask[label] == 1, label + 1, np.where(mask[label] == IGNORED, IGNORED, 0)).astype(np.uint8)
            groups[f"{group} {name}"] = {"mask_data": data, "class_labels": {label + 1: name, IGNORED: "ignored"}}
    return {"masks": groups}


def _groups(true: Any, found: Any, key: str, labels: dict[int, str]) -> dict[str, Any]:
    return {
        "ground_truth": {key: true, "class_labels": labels},
        "predictions": {key: found, "class_labels": labels},
    }


def _box_data(
    boxes: list[list[float]], classes: list[int], scores: list[float] | None, labels: dict[int, str]
) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = []
    for index, ((x1, y1, x2, y2), label) in enumerate(zip(boxes, classes, strict=True)):
        box = {"minX": x1, "minY": y1, "maxX": x2, "maxY": y2}
        entry = {"position": box, "domain": "pixel", "class_id": label, "box_caption": labels[label]}
        if scores is not None:
            entry |= {"scores": {"score": scores[index]}, "box_caption": f"{labels[label]} {scores[index]:.2f}"}
        data.append(entry)
    return data
