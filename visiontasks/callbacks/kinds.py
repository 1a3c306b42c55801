"""What shows the predictions of each kind of task: the one table of them, and those of a task of the user's own."""

from collections.abc import Hashable, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from visiontasks.callbacks.wandb_images import detected_boxes, detected_instances, located_box, segmented_masks
from visiontasks.kinds import Kind
from visiontasks.metrics.sample_quality import (
    SCORE,
    classification_quality,
    detection_quality,
    instance_quality,
    localization_quality,
    reconstruction_quality,
    segmentation_quality,
)
from visiontasks.types import (
    AutoencodingPredictions,
    ClassificationBatch,
    ClassificationPredictions,
    DetectionBatch,
    DetectionPredictions,
    InstanceBatch,
    InstancePredictions,
    LocalizationBatch,
    LocalizationPredictions,
    SegmentationBatch,
    SegmentationPredictions,
)
from visiontasks.visualization import (
    draw_classification,
    draw_detections,
    draw_localization,
    draw_reconstructions,
    draw_segmentation,
    label_names,
)


def class_caption(batch: Any, predictions: Any, class_names: Sequence[str]) -> str:
    """Name the predicted classes of one image, and the true ones if they differ."""
    labels, truth, score = predictions.labels[0], batch.labels[0], predictions.scores[0]
    probability = "" if labels.ndim else f" {score:.2f}"
    correct = torch.equal(labels.long(), truth.long())
    return (
        label_names(labels, class_names)
        + probability
        + ("" if correct else f", true: {label_names(truth, class_names)}")
    )


def detection_caption(batch: Any, predictions: Any, class_names: Sequence[str]) -> str:
    """Count the objects of one image, and its detections."""
    objects = int(((batch.labels[0] >= 0) & ~batch.ignore[0]).sum())
    return f"{objects} annotated, {int((predictions.scores[0] >= SCORE).sum())} found"


KINDS = (
    Kind(
        batch=ClassificationBatch,
        predictions=ClassificationPredictions,
        draw=draw_classification,
        wandb=lambda *one: {"caption": class_caption(*one)},
        caption=class_caption,
        quality=classification_quality,
    ),
    Kind(
        batch=LocalizationBatch,
        predictions=LocalizationPredictions,
        draw=draw_localization,
        wandb=located_box,
        caption=class_caption,
        quality=localization_quality,
    ),
    Kind(
        batch=DetectionBatch,
        predictions=DetectionPredictions,
        draw=draw_detections,
        wandb=detected_boxes,
        caption=detection_caption,
        quality=detection_quality,
    ),
    Kind(
        batch=InstanceBatch,
        predictions=InstancePredictions,
        draw=draw_detections,
        wandb=detected_instances,
        caption=detection_caption,
        quality=instance_quality,
    ),
    Kind(
        batch=SegmentationBatch,
        predictions=SegmentationPredictions,
        draw=draw_segmentation,
        wandb=segmented_masks,
        quality=segmentation_quality,
    ),
    Kind(predictions=AutoencodingPredictions, draw=draw_reconstructions, quality=reconstruction_quality),
)


def kind_of(task: Any, predictions: Any, batch: Any) -> Kind:
    """Find what shows the predictions of a task, and log once what it is shown without.

    Args:
        task: The task, whose own ``kind`` comes first.
        predictions: What it predicted of a batch; of the table, the row for them comes second.
        batch: The batch, which must have the fields that this row reads.

    Returns:
        Each function of the first row that has it; none for predictions that cannot be split into images.
    """
    if not (hasattr(predictions, "_fields") and hasattr(batch, "_fields")):
        kind = Kind()
    else:
        rows = [task.kind] if task.kind else []
        rows += [row for row in KINDS if _is_of(row, predictions, batch)]
        functions = {
            field.name: [value for row in rows if (value := getattr(row, field.name))] for field in fields(Kind)
        }
        kind = Kind(**{name: values[0] for name, values in functions.items() if values})
    missing = tuple(name for name in _SHOWN if getattr(kind, name) is None)
    if missing:
        _log_missing(missing, type(task), type(predictions), type(batch))  # type: ignore[arg-type]  # classes are hashable
    return kind


def caption(kind: Kind, batch: Any, predictions: Any, class_names: Sequence[str]) -> str:
    """Describe the prediction for one image in a line; empty if nothing does."""
    if kind.caption is not None:
        return kind.caption(batch, predictions, class_names)
    row = {} if kind.row is None else kind.row(predictions, class_names)
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items()
    )


def class_pairs(predictions: Any, batch: Any) -> tuple[Tensor, Tensor] | None:
    """Return the true and the predicted class of each image; None if they do not state one class per image."""
    true, predicted = getattr(batch, "labels", None), getattr(predictions, "labels", None)
    if not (isinstance(true, Tensor) and isinstance(predicted, Tensor)) or not true.ndim == predicted.ndim == 1:
        return None
    return true, predicted


_SHOWN = {"draw": "pictures of predictions", "quality": "best and worst images"}


def _is_of(row: Kind, predictions: Any, batch: Any) -> bool:
    assert row.predictions is not None
    read: Any = row.batch
    return isinstance(predictions, row.predictions) and (read is None or set(read._fields) <= set(batch._fields))


@cache
def _log_missing(missing: tuple[str, ...], *types: Hashable) -> None:
    task, predictions, batch = (kind.__name__ for kind in types if isinstance(kind, type))
    functions = ", ".join(f"{name}=..." for name in missing)
    rank_zero_info(
        f"There are no {' and no '.join(_SHOWN[name] for name in missing)} of {task}: nothing is known about its "
        f"predictions ({predictions}) of its batches ({batch}). Let both be NamedTuples of tensors, and set kind = "
        f"visiontasks.Kind({functions}) in the class, as shown in 'A task of your own' in the documentation."
    )
