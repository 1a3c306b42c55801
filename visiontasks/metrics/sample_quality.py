"""Prediction quality of each image, to find the best and the worst."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from visiontasks.losses.box import paired_iou
from visiontasks.losses.pixels import mean_of_pixels, pixels_of
from visiontasks.metrics.coco_scoring import coco_hits
from visiontasks.metrics.confusion import segmentation_scores
from visiontasks.metrics.detection_records import Detections, TrueObjects
from visiontasks.metrics.mask_overlaps import batch_overlaps
from visiontasks.metrics.overlaps import Overlaps
from visiontasks.types import (
    IGNORED,
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

SCORE = 0.5
"""Minimum score of the detections that count for the quality of an image."""


Quality = tuple[str, Float[Tensor, " batch"]]
"""Name of the measure, and the quality of each image: higher is better, NaN where it is undefined."""


def classification_quality(batch: ClassificationBatch, predictions: ClassificationPredictions) -> Quality:
    """Return the probability of the true class; multilabel: that of the true decision, averaged over the classes."""
    labels, probabilities = batch.labels, predictions.probabilities
    if labels.ndim == 1:
        return "probability of the true class", probabilities.gather(1, labels.long()[:, None])[:, 0]
    right = torch.where(labels > 0.5, probabilities, 1 - probabilities)
    return "mean probability of the true answers", right.mean(1)


def localization_quality(batch: LocalizationBatch, predictions: LocalizationPredictions) -> Quality:
    """Return the IoU of the box, 0 if the class is wrong, NaN for an image without an object."""
    right = predictions.labels == batch.labels
    values = torch.where(right, paired_iou(predictions.boxes, batch.boxes), 0.0)
    return "IoU of the box, 0 where the class is wrong", values.masked_fill(batch.labels < 0, torch.nan)


def segmentation_quality(batch: SegmentationBatch, predictions: SegmentationPredictions) -> Quality:
    """Return the mean IoU over the classes in the image."""
    values = [_mean_iou(*pair) for pair in zip(predictions.labels, batch.masks, strict=True)]
    return "mean IoU over the classes in the image", torch.stack(values)


def reconstruction_quality(batch: Any, predictions: AutoencodingPredictions) -> Quality:  # noqa: ANN401 (of any task)
    """Return the peak signal-to-noise ratio, at most 100 dB."""
    error = (predictions.images - pixels_of(batch.images)).square()
    return "PSNR in dB", -10 * mean_of_pixels(error, getattr(batch, "sizes", None)).clamp(min=1e-10).log10()


def detection_quality(batch: DetectionBatch, predictions: DetectionPredictions) -> Quality:
    """Return F1 of the detections with a score of at least 0.5, at IoU 0.5; NaN without objects and detections."""
    images, rows = torch.nonzero((predictions.labels >= 0) & (predictions.scores >= SCORE), as_tuple=True)
    fields = (predictions.boxes, predictions.labels, predictions.scores)
    detections = Detections(*_on_host(images, *(field[images, rows] for field in fields)))
    images, rows = torch.nonzero(batch.labels >= 0, as_tuple=True)
    annotated = (field[images, rows] for field in (batch.boxes, batch.labels, batch.ignore, batch.areas))
    objects = TrueObjects(*_on_host(images, *annotated))
    return f"F1 at score {SCORE} and IoU 0.5", _f1(len(batch.labels), detections, objects)


def instance_quality(batch: InstanceBatch, predictions: InstancePredictions) -> Quality:
    """Return F1 of the detections with a score of at least 0.5, at mask IoU 0.5; NaN without objects and detections."""
    values = _f1(len(batch.labels), *batch_overlaps(predictions, batch, SCORE))
    return f"F1 at score {SCORE} and mask IoU 0.5", values


def _f1(
    count: int, detections: Detections, objects: TrueObjects, overlaps: Overlaps | None = None
) -> Float[Tensor, " batch"]:
    """Compute F1 of each of so many images."""
    classes = int(max(detections.labels.max(initial=0), objects.labels.max(initial=0))) + 1
    detections, hit, skipped = coco_hits(detections, objects, classes, overlaps)
    right, wrong = (np.bincount(detections.images[chosen], minlength=count) for chosen in (hit, ~hit & ~skipped))
    wanted = np.bincount(objects.images[~objects.ignore], minlength=count)
    with np.errstate(invalid="ignore"):
        return torch.from_numpy(2 * right / (right + wrong + wanted))


def _mean_iou(labels: Tensor, mask: Tensor) -> Float[Tensor, ""]:
    if mask.ndim == 3:
        counted, yes = mask != IGNORED, mask == 1
        hits = ((labels == 1) & yes).sum((1, 2))
        predicted = ((labels == 1) & counted).sum((1, 2))
        return segmentation_scores(hits, yes.sum((1, 2)), predicted, hits.sum(), counted.sum())["miou"]
    values = IGNORED + 1
    counts = torch.bincount((mask.int() * values + labels.int()).flatten(), minlength=values**2).view(values, values)
    counts = counts[:IGNORED]
    hits = counts.diagonal()[:IGNORED]
    scores = segmentation_scores(hits, counts.sum(1), counts.sum(0)[:IGNORED], hits.sum(), counts.sum())
    return scores["miou"]


def _on_host(*fields: Tensor) -> list[np.ndarray]:
    on_host = [field.cpu() for field in fields]
    return [(field.double() if field.is_floating_point() else field).numpy() for field in on_host]
