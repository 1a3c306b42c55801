"""Which classes a detector takes for one another."""

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from visiontasks.metrics.detection_records import DetectionMetric, Detections, Objects, Records

_TINY = np.finfo(np.float64).tiny


class DetectionConfusion(DetectionMetric):
    """Counts objects by their class and the class that they were found as; the last row and column are background.

    Of the pairs of a detection and an object that overlap enough, the best are matched first, whatever their classes,
    each at most once. An object that is left over was found as background; a detection that is left over took
    background for an object, unless enough of it lies in an object to be ignored, such as a crowd of COCO.

    Args:
        num_classes: Classes.
        score: Minimum score of a detection that counts.
        threshold: Minimum intersection over union of a match, and share of a detection that lies in what is ignored.
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
    """Count what :class:`DetectionConfusion` counts in what any metric of detections has recorded.

    Args:
        records: What :meth:`~visiontasks.metrics.detection_records.DetectionMetric.records` returns.
        num_classes: Classes.
        score: Minimum score of a detection that counts.
        threshold: Minimum intersection over union of a match, and share of a detection that lies in what is ignored.
    """
    _, objects, detections = records
    counted = Detections(*(field[detections.scores >= score] for field in detections))
    counts = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    for image in np.union1d(objects.images, counted.images):
        own = Objects(*(field[objects.images == image] for field in objects))
        found = Detections(*(field[counted.images == image] for field in counted))
        _count(found, own, counts, threshold)
    return torch.from_numpy(counts)


def _count(found: Detections, own: Objects, counts: np.ndarray, threshold: float) -> None:
    overlap = overlaps(found.boxes, own.boxes)
    covered = _shared(found.boxes, own.boxes[own.ignore]) / np.maximum(_areas(found.boxes), _TINY)[:, None]
    ignored = (covered >= threshold).any(1)
    pairs = np.argwhere((overlap >= threshold) & ~own.ignore)
    pairs = pairs[np.argsort(-overlap[tuple(pairs.T)], kind="stable")]
    matched, taken = np.zeros(len(found.labels), bool), np.zeros(len(own.labels), bool)
    for detection, target in pairs:
        if not matched[detection] and not taken[target]:
            matched[detection] = taken[target] = True
            counts[own.labels[target], found.labels[detection]] += 1
    classes = len(counts) - 1
    counts[:-1, -1] += np.bincount(own.labels[~taken & ~own.ignore], minlength=classes)
    counts[-1, :-1] += np.bincount(found.labels[~matched & ~ignored], minlength=classes)


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute the intersection over union of each box [n, 4] with each other box [m, 4]."""
    shared = _shared(boxes, others)
    return np.asarray(shared / np.maximum(_areas(boxes)[:, None] + _areas(others)[None] - shared, _TINY))


def _shared(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    left, right = boxes[:, None], others[None]
    sides = np.minimum(left[..., 2:], right[..., 2:]) - np.maximum(left[..., :2], right[..., :2])
    return np.asarray(sides.clip(0).prod(-1))


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(1))
