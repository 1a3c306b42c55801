"""Average precision as PASCAL VOC defines it."""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from visiontasks.metrics.detection_records import DetectionMetric, Detections, TrueObjects

VocRule = Literal["area", "11_points"]


class VocAveragePrecision(DetectionMetric):
    """``voc_map`` and ``class_voc_map``: PASCAL VOC's average precision at an intersection over union of 0.5.

    Everingham et al., The PASCAL visual object classes challenge (IJCV 2010), section 4.2, and its development kit: a
    detection is assigned to the object with the highest IoU; further detections of the same object are false positives;
    difficult objects, and detections of them, do not count. A class without objects is NaN and left out of the mean.

    Args:
        num_classes: Number of classes.
        rule: ``"area"`` under the precision-recall curve, as in VOC since 2010, or the mean precision at
            ``"11_points"``, as until 2009.
        threshold: Minimum IoU of a true positive.
    """

    by_class = ("class_voc_map",)

    def __init__(self, num_classes: int, rule: VocRule = "area", threshold: float = 0.5) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.rule: VocRule = rule
        self.threshold = threshold

    def compute(self) -> dict[str, Tensor]:
        """Return the metrics by name."""
        _, objects, detections = self.records()
        values = voc_average_precision(detections, objects, self.num_classes, self.rule, self.threshold)
        mean = np.nanmean(values) if not np.isnan(values).all() else np.nan
        return {
            "voc_map": torch.tensor(float(mean), device=self.device),
            "class_voc_map": torch.from_numpy(values).float().to(self.device),
        }


def voc_average_precision(
    detections: Detections, objects: TrueObjects, num_classes: int, rule: VocRule = "area", threshold: float = 0.5
) -> Float64[np.ndarray, " classes"]:
    """Compute the average precision of each class; NaN without objects. See :class:`VocAveragePrecision`.

    Args:
        detections: The detections.
        objects: The objects.
        num_classes: Number of classes.
        rule: How precisions are averaged; see :class:`VocAveragePrecision`.
        threshold: Minimum IoU of a true positive.
    """
    values = np.full(num_classes, np.nan)
    for label in range(num_classes):
        of_class = TrueObjects(*(field[objects.labels == label] for field in objects))
        count = int((~of_class.ignore).sum())
        if not count:
            continue
        chosen = Detections(*(field[detections.labels == label] for field in detections))
        order = np.argsort(-chosen.scores, kind="stable")
        chosen = Detections(*(field[order] for field in chosen))
        target, overlap = best_overlaps(chosen, of_class)
        near = overlap >= threshold
        difficult = near & of_class.ignore[target] if len(of_class.labels) else near
        regular = np.flatnonzero(near & ~difficult)
        hit = np.zeros(len(near), bool)
        # Of several detections of an object the one with the highest score, which comes first, is the true positive.
        hit[regular[np.unique(target[regular], return_index=True)[1]]] = True
        right, wrong = np.cumsum(hit), np.cumsum(~hit & ~difficult)
        counted = hit | (~hit & ~difficult)
        recall, precision = right[counted] / count, right[counted] / np.maximum(right + wrong, 1)[counted]
        values[label] = _area(recall, precision) if rule == "area" else _points(recall, precision)
    return values


def best_overlaps(detections: Detections, objects: TrueObjects) -> tuple[np.ndarray, np.ndarray]:
    """Find the object with the highest IoU for each detection within its image, regardless of class, and that IoU.

    Returns:
        Positions of the objects (the first of ties) and the IoUs; 0 and 0.0 for an image without objects.
    """
    order = np.argsort(objects.images, kind="stable")
    images, boxes = objects.images[order], objects.boxes[order]
    low = np.searchsorted(images, detections.images, "left")
    count = np.searchsorted(images, detections.images, "right") - low
    target, best = np.zeros(len(low), np.int64), np.zeros(len(low))
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    box_areas = (detections.boxes[:, 2:] - detections.boxes[:, :2]).prod(1)
    for step in range(int(count.max()) if len(count) else 0):
        rows = np.flatnonzero(count > step)
        other = low[rows] + step
        sides = np.minimum(detections.boxes[rows, 2:], boxes[other, 2:]) - np.maximum(
            detections.boxes[rows, :2], boxes[other, :2]
        )
        shared = sides.clip(0).prod(1)
        overlap = shared / (box_areas[rows] + areas[other] - shared)
        better = overlap > best[rows]
        target[rows[better]], best[rows[better]] = order[other[better]], overlap[better]
    return target, best


def _area(recall: np.ndarray, precision: np.ndarray) -> float:
    envelope = np.maximum.accumulate(np.r_[precision, 0.0][::-1])[::-1]
    return float(np.sum(np.diff(np.r_[0.0, recall]) * envelope[:-1]))


def _points(recall: np.ndarray, precision: np.ndarray) -> float:
    reached = [precision[recall >= point] for point in np.arange(11) / 10]
    return float(sum(values.max() if len(values) else 0.0 for values in reached) / 11)
