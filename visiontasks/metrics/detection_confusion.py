"""Confusion matrix of a detector."""

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from visiontasks.metrics.detection_records import DetectionMetric, Detections, Records, TrueObjects

_TINY = np.finfo(np.float64).tiny


class DetectionConfusion(DetectionMetric):
    """Confusion matrix of true and detected classes; the last row and column are background.

    Pairs of a detection and an object that overlap enough are matched in descending order of IoU, whatever their
    classes, each detection and object at most once. An unmatched object counts as detected as background (false
    negative); an unmatched detection counts as background detected as an object (false positive), unless enough of it
    lies in an ignored object, such as a COCO crowd.

    Args:
        num_classes: Number of classes.
        score: Minimum score of a detection that counts.
        threshold: Minimum IoU of a match, and minimum share of an unmatched detection inside an ignored object.
    """

    def __init__(self, num_classes: int, score: float = 0.5, threshold: float = 0.5) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.score = score
        self.threshold = threshold

    def compute(self) -> Int64[Tensor, "objects found"]:
        """Return the counts, shape [num_classes + 1, num_classes + 1]."""
        return count_confusion(self.records(), self.num_classes, self.score, self.threshold).to(self.device)


def count_confusion(
    records: Records, num_classes: int, score: float = 0.5, threshold: float = 0.5
) -> Int64[Tensor, "objects found"]:
    """Compute the matrix of :class:`DetectionConfusion` from the records of any detection metric.

    Args:
        records: What :meth:`~visiontasks.metrics.detection_records.DetectionMetric.records` returns.
        num_classes: Number of classes.
        score: Minimum score of a detection that counts.
        threshold: Minimum IoU of a match, and minimum share of an unmatched detection inside an ignored object.
    """
    _, objects, detections = records
    counted = Detections(*(field[detections.scores >= score] for field in detections))
    counts = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    for image in np.union1d(objects.images, counted.images):
        in_image = TrueObjects(*(field[objects.images == image] for field in objects))
        predicted = Detections(*(field[counted.images == image] for field in counted))
        _count(predicted, in_image, counts, threshold)
    return torch.from_numpy(counts)


def _count(detections: Detections, objects: TrueObjects, counts: np.ndarray, threshold: float) -> None:
    overlap = overlaps(detections.boxes, objects.boxes)
    covered = (
        _shared(detections.boxes, objects.boxes[objects.ignore]) / np.maximum(_areas(detections.boxes), _TINY)[:, None]
    )
    ignored = (covered >= threshold).any(1)
    pairs = np.argwhere((overlap >= threshold) & ~objects.ignore)
    pairs = pairs[np.argsort(-overlap[tuple(pairs.T)], kind="stable")]
    matched, taken = np.zeros(len(detections.labels), bool), np.zeros(len(objects.labels), bool)
    for detection, target in pairs:
        if not matched[detection] and not taken[target]:
            matched[detection] = taken[target] = True
            counts[objects.labels[target], detections.labels[detection]] += 1
    classes = len(counts) - 1
    counts[:-1, -1] += np.bincount(objects.labels[~taken & ~objects.ignore], minlength=classes)
    counts[-1, :-1] += np.bincount(detections.labels[~matched & ~ignored], minlength=classes)


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute the intersection over union of each box [n, 4] with each of the others [m, 4]."""
    shared = _shared(boxes, others)
    return np.asarray(shared / np.maximum(_areas(boxes)[:, None] + _areas(others)[None] - shared, _TINY))


def _shared(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    left, right = boxes[:, None], others[None]
    sides = np.minimum(left[..., 2:], right[..., 2:]) - np.maximum(left[..., :2], right[..., :2])
    return np.asarray(sides.clip(0).prod(-1))


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(1))
