"""True and false positives of each class at score thresholds from 0 to 1."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Integer
from torch import Tensor
from torchmetrics import Metric

from visiontasks.metrics.coco_scoring import coco_hits
from visiontasks.metrics.detection_records import Detections, TrueObjects

STEPS = 101
"""Number of thresholds: 0, 0.01, ... 1."""


class ThresholdCounts(NamedTuple):
    """Counts of predictions whose score is at least the threshold.

    Attributes:
        right: Number of true positives.
        wrong: Number of false positives.
        wanted: Number of all positives.
    """

    right: Int64[np.ndarray, "classes thresholds"]
    wrong: Int64[np.ndarray, "classes thresholds"]
    wanted: Int64[np.ndarray, " classes"]


class DecisionCounts(Metric):
    """Counts true and false positives of binary decisions at every threshold.

    Args:
        num_classes: Number of classes.

    Example:
        >>> counts = DecisionCounts(num_classes=1)
        >>> counts.update(torch.tensor([[0.9], [0.4], [0.2]]), torch.tensor([[1], [0], [1]]))
        >>> right, wrong, wanted = counts.compute()
        >>> right[0, [10, 30, 90]].tolist(), wrong[0, [10, 30, 90]].tolist(), wanted.tolist()
        ([2, 1, 1], [1, 1, 0], [2])
    """

    full_state_update = False
    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        # Numbers of scores between two thresholds, for false and true positives.
        self.add_state("counts", torch.zeros(2, num_classes, STEPS, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, preds: Float[Tensor, "batch classes"], target: Integer[Tensor, "batch classes"]) -> None:
        """Add the decisions of one batch.

        Args:
            preds: Probability of each class.
            target: Whether each image has each class, 1 or 0.
        """
        _, classes, steps = self.counts.shape
        cell = _steps(preds) + steps * torch.arange(classes, device=preds.device)
        cell = cell + classes * steps * (target == 1)
        self.counts += torch.bincount(cell.flatten(), minlength=self.counts.numel()).view_as(self.counts)

    def compute(self) -> ThresholdCounts:
        """Return the counts."""
        return self.totals()

    def totals(self) -> ThresholdCounts:
        """Return the counts so far; within ``sync_context``, of all processes."""
        wrong, right = self.counts.flip(-1).cumsum(-1).flip(-1).cpu().numpy()
        return ThresholdCounts(right, wrong, right[:, 0])


def detection_counts(detections: Detections, objects: TrueObjects, num_classes: int) -> ThresholdCounts:
    """Count the true and false positives of each class at every score threshold, at IoU 0.5.

    Detections are matched with objects of their class as in COCO: in descending order of score, so that detections
    below a threshold do not affect those above it.

    Args:
        detections: The detections.
        objects: The objects.
        num_classes: Number of classes.
    """
    detections, hit, skipped = coco_hits(detections, objects, num_classes)

    def count(chosen: Bool[np.ndarray, " detections"]) -> Int64[np.ndarray, "classes thresholds"]:
        steps = _steps(torch.from_numpy(detections.scores[chosen])).numpy()
        places = detections.labels[chosen] * STEPS + steps
        counts = np.bincount(places, minlength=num_classes * STEPS).reshape(num_classes, STEPS)
        return np.asarray(counts[:, ::-1].cumsum(1)[:, ::-1])

    wanted = np.bincount(objects.labels[~objects.ignore], minlength=num_classes)
    return ThresholdCounts(count(hit), count(~hit & ~skipped), wanted)


def _steps(scores: Tensor) -> Tensor:
    """Return the index of the highest threshold that each score reaches."""
    # In the precision in which scores are compared elsewhere: 0.3 as float32 is above 0.3.
    thresholds = (torch.arange(STEPS, dtype=torch.float64) / (STEPS - 1)).to(scores.device, torch.float32)
    return torch.bucketize(scores.float().contiguous(), thresholds, right=True) - 1
