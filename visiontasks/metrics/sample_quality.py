"""Prediction quality of each image, to find the best and the worst."""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from visiontasks.losses.box import paired_iou
from visiontasks.losses.pixels import mean_of_pixels, pixels_of
from visiontasks.metrics.coco_scoring import coco_hits
from visiontasks.metrics.confusion import segmentation_scores
from visiontasks.metrics.detection_records import Detections, Objects
from visiontasks.types import (
    IGNORED,
    AutoencodingPredictions,
    ClassificationPredictions,
    DetectionPredictions,
    LocalizationPredictions,
    SegmentationPredictions,
)

SCORE = 0.5
"""Minimum score of the detections that count for the quality of an image."""


class SampleQuality(NamedTuple):
    """The quality of each image of a batch.

    Attributes:
        name: Name of the measure.
        values: Quality of each image, higher is better; NaN if it is undefined for the image.
    """

    name: str
    values: Float64[np.ndarray, " batch"]


def sample_quality(predictions: Any, batch: Any) -> SampleQuality | None:  # noqa: ANN401 (each task has its own)
    """Compute the quality of the predictions of each image of a batch.

    For classification it is the probability of the true class (multilabel: the probability of the true decision,
    averaged over the classes); for localization the IoU of the box, 0 if the class is wrong; for segmentation the mean
    IoU over the classes in the image; for detection F1 at IoU 0.5; for autoencoding the peak signal-to-noise ratio, at
    most 100 dB.

    Args:
        predictions: Predictions of any task of this library.
        batch: The batch that was predicted.

    Returns:
        The quality; None for other kinds of predictions.
    """
    if isinstance(predictions, ClassificationPredictions):
        several = batch.labels.ndim > 1
        name = "mean probability of the true answers" if several else "probability of the true class"
        values = _classification(predictions.probabilities, batch.labels)
    elif isinstance(predictions, LocalizationPredictions):
        name = "IoU of the box, 0 where the class is wrong"
        right = predictions.labels == batch.labels
        values = torch.where(right, paired_iou(predictions.boxes, batch.boxes), 0.0)
        values = values.masked_fill(batch.labels < 0, torch.nan)
    elif isinstance(predictions, SegmentationPredictions):
        name = "mean IoU over the classes in the image"
        values = torch.stack([_mean_iou(*pair) for pair in zip(predictions.labels, batch.masks, strict=True)])
    elif isinstance(predictions, DetectionPredictions):
        return SampleQuality(f"F1 at score {SCORE} and IoU 0.5", _detection(predictions, batch))
    elif isinstance(predictions, AutoencodingPredictions):
        name = "PSNR in dB"
        error = (predictions.images - pixels_of(batch.images)).square()
        values = -10 * mean_of_pixels(error, getattr(batch, "sizes", None)).clamp(min=1e-10).log10()
    else:
        return None
    return SampleQuality(name, values.float().cpu().numpy().astype(np.float64))


def _classification(probabilities: Tensor, labels: Tensor) -> Tensor:
    if labels.ndim == 1:
        return probabilities.gather(1, labels.long()[:, None])[:, 0]
    return torch.where(labels > 0.5, probabilities, 1 - probabilities).mean(1)


def _mean_iou(found: Tensor, mask: Tensor) -> Float[Tensor, ""]:
    if mask.ndim == 3:
        counted, yes = mask != IGNORED, mask == 1
        hits = ((found == 1) & yes).sum((1, 2))
        predicted = ((found == 1) & counted).sum((1, 2))
        return segmentation_scores(hits, yes.sum((1, 2)), predicted, hits.sum(), counted.sum())["miou"]
    values = IGNORED + 1
    counts = torch.bincount((mask.int() * values + found.int()).flatten(), minlength=values**2).view(values, values)
    counts = counts[:IGNORED]
    hits = counts.diagonal()[:IGNORED]
    scores = segmentation_scores(hits, counts.sum(1), counts.sum(0)[:IGNORED], hits.sum(), counts.sum())
    return scores["miou"]


def _detection(predictions: DetectionPredictions, batch: Any) -> Float64[np.ndarray, " batch"]:  # noqa: ANN401 (as above)
    images, places = torch.nonzero((predictions.labels >= 0) & (predictions.scores >= SCORE), as_tuple=True)
    found = Detections(*_on_host(images, *(field[images, places] for field in _order(predictions))))
    images, places = torch.nonzero(batch.labels >= 0, as_tuple=True)
    chosen = (field[images, places] for field in (batch.boxes, batch.labels, batch.ignore, batch.areas))
    objects = Objects(*_on_host(images, *chosen))
    count = len(batch.labels)
    classes = int(max(found.labels.max(initial=0), objects.labels.max(initial=0))) + 1
    found, hit, skipped = coco_hits(found, objects, classes)
    right, wrong = (
        np.bincount(found.images[chosen], minlength=count).astype(np.float64) for chosen in (hit, ~hit & ~skipped)
    )
    wanted = np.bincount(objects.images[~objects.ignore], minlength=count)
    # The quality is undefined if there is neither an object nor a detection.
    whole = right + wrong + wanted
    shares: Float64[np.ndarray, " images"] = np.divide(2 * right, whole, out=np.full(count, np.nan), where=whole > 0)
    return shares


def _order(predictions: DetectionPredictions) -> tuple[Tensor, Tensor, Tensor]:
    return predictions.boxes, predictions.labels, predictions.scores


def _on_host(*fields: Tensor) -> list[np.ndarray]:
    on_host = [field.cpu() for field in fields]
    return [(field.double() if field.is_floating_point() else field).numpy() for field in on_host]
