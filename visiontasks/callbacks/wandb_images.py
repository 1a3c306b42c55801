"""Images with boxes and masks that Weights & Biases draws itself, so that they can be switched on and off."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from torch import Tensor

from visiontasks.callbacks.ranking import take
from visiontasks.detection.mask_pasting import Pasted, pasted_masks
from visiontasks.instance_masks import unpack_masks
from visiontasks.kinds import Kind
from visiontasks.types import (
    IGNORED,
    DetectionBatch,
    DetectionPredictions,
    InstanceBatch,
    InstancePredictions,
    LocalizationBatch,
    LocalizationPredictions,
    SegmentationBatch,
    SegmentationPredictions,
)
from visiontasks.visualization import to_rgb

if TYPE_CHECKING:
    import wandb

_MIN_SCORE = 0.05
"""Minimum score of a box that is sent; a slider in the browser raises it further."""


def wandb_images(kind: Kind, batch: Any, predictions: Any, class_names: Sequence[str]) -> "list[wandb.Image] | None":
    """Create images with their annotations and predictions.

    Args:
        kind: What shows the predictions.
        batch: A batch, on the CPU.
        predictions: Its predictions, on the CPU.
        class_names: Names of the classes in the order of the labels.

    Returns:
        The images; None if the kind has nothing of its own for Weights & Biases.
    """
    import wandb

    if kind.wandb is None:
        return None
    images, count = [], len(batch.images)
    for index in range(count):
        one, predicted = (take(fields, slice(index, index + 1), count) for fields in (batch, predictions))
        height, width = one.sizes[0].tolist() if hasattr(one, "sizes") else one.images.shape[-2:]
        pixels = to_rgb(one.images[0])[:, :height, :width].permute(1, 2, 0).contiguous().numpy()
        images.append(wandb.Image(pixels, **kind.wandb(one, predicted, class_names)))
    return images


def located_box(
    batch: LocalizationBatch, predictions: LocalizationPredictions, class_names: Sequence[str]
) -> dict[str, Any]:
    """Describe the true and the predicted box of one image."""
    objects = batch.labels >= 0
    true = _box_data(batch.boxes[objects], batch.labels[objects], None, class_names)
    predicted = _box_data(predictions.boxes, predictions.labels, predictions.scores, class_names)
    return {"boxes": _groups(true, predicted, "box_data", class_names)}


def detected_boxes(
    batch: DetectionBatch | InstanceBatch,
    predictions: DetectionPredictions | InstancePredictions,
    class_names: Sequence[str],
) -> dict[str, Any]:
    """Describe the objects and the detections of one image."""
    objects = batch.labels >= 0
    likely = (predictions.labels >= 0) & (predictions.scores >= _MIN_SCORE)
    true = _box_data(batch.boxes[objects], batch.labels[objects], None, class_names)
    predicted = _box_data(
        predictions.boxes[likely], predictions.labels[likely], predictions.scores[likely], class_names
    )
    return {"boxes": _groups(true, predicted, "box_data", class_names)}


def detected_instances(
    batch: InstanceBatch, predictions: InstancePredictions, class_names: Sequence[str]
) -> dict[str, Any]:
    """Describe the objects and the detections of one image: boxes, and the class of each pixel of their masks.

    A mask of Weights & Biases has one class per pixel: where masks overlap, that of the highest score is shown, of true
    ones the first. Its classes are numbered from 1, because pixels without an object are 0.
    """
    groups = detected_boxes(batch, predictions, class_names)
    if len(class_names) >= IGNORED:
        return groups
    height, width = batch.sizes[0].tolist()
    size = batch.mask_sizes[0].tolist()
    windows = batch.mask_windows[0]
    true = zip(windows.tolist(), unpack_masks(batch.mask_bits[0].numpy(), windows.numpy()), strict=True)
    labels = predictions.labels[0][(predictions.labels[0] >= 0) & (predictions.scores[0] >= _MIN_SCORE)]
    found = next(pasted_masks(predictions, batch, _MIN_SCORE))
    maps = (_class_map(true, batch.labels[0].tolist(), size), _class_map(found, labels.tolist(), size))
    data = [np.array(Image.fromarray(one).resize((width, height), Image.Resampling.NEAREST)) for one in maps]
    names = dict(enumerate(class_names, 1))
    masks = {
        group: {"mask_data": one, "class_labels": names}
        for group, one in zip(("ground_truth", "predictions"), data, strict=True)
    }
    return {**groups, "masks": masks}


def _class_map(masks: Iterable[Pasted], labels: Sequence[int], size: Sequence[int]) -> np.ndarray:
    """Paint the numbers of classes, from 1 on, so that the first mask is on top."""
    classes = np.zeros(size, np.uint8)
    for ((left, top, right, bottom), mask), label in zip(masks, labels, strict=True):
        place = classes[top:bottom, left:right]
        place[(place == 0) & (mask == 1)] = label + 1
    return classes


def segmented_masks(
    batch: SegmentationBatch, predictions: SegmentationPredictions, class_names: Sequence[str]
) -> dict[str, Any]:
    """Describe the true and the predicted mask of one image; multilabel: those of each class."""
    height, width = batch.sizes[0].tolist()
    true, predicted = (mask[0, ..., :height, :width].numpy() for mask in (batch.masks, predictions.labels))
    if true.ndim == 2:
        return {"masks": _groups(true, predicted, "mask_data", class_names, {IGNORED: "ignored"})}
    # A group has one class per pixel: in multilabel segmentation, each class has its own group.
    groups: dict[str, Any] = {}
    for label, name in enumerate(class_names):
        for group, mask in (("ground_truth", true), ("predictions", predicted)):
            data = np.where(mask[label] == 1, label + 1, np.where(mask[label] == IGNORED, IGNORED, 0)).astype(np.uint8)
            groups[f"{group} {name}"] = {"mask_data": data, "class_labels": {label + 1: name, IGNORED: "ignored"}}
    return {"masks": groups}


def _groups(
    true: Any, predicted: Any, key: str, class_names: Sequence[str], more: dict[int, str] | None = None
) -> dict[str, Any]:
    labels = {**dict(enumerate(class_names)), **(more or {})}
    return {
        "ground_truth": {key: true, "class_labels": labels},
        "predictions": {key: predicted, "class_labels": labels},
    }


def _box_data(boxes: Tensor, labels: Tensor, scores: Tensor | None, class_names: Sequence[str]) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = []
    for index, ((x1, y1, x2, y2), label) in enumerate(zip(boxes.tolist(), labels.tolist(), strict=True)):
        box = {"minX": x1, "minY": y1, "maxX": x2, "maxY": y2}
        entry = {"position": box, "domain": "pixel", "class_id": label, "box_caption": class_names[label]}
        if scores is not None:
            score = scores[index].item()
            entry |= {"scores": {"score": score}, "box_caption": f"{class_names[label]} {score:.2f}"}
        data.append(entry)
    return data
