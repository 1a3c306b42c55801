"""COCO's metrics of a detector."""

from collections.abc import Sequence

import torch
from torch import Tensor

from visiontasks.errors import ArgumentError
from visiontasks.metrics.coco_scoring import CocoScores, coco_scores
from visiontasks.metrics.detection_records import DetectionMetric


class CocoAveragePrecision(DetectionMetric):
    """COCO's twelve metrics and the average precision of each class, equal to those of pycocotools.

    ``map`` is averaged over the thresholds 0.5, 0.55, ... 0.95 of the intersection over union, ``map_50`` and
    ``map_75`` are at a single threshold, and ``map_small``, ``map_medium`` and ``map_large`` count objects of areas
    below 32 x 32 pixels, between that and 96 x 96, and above. ``mar_1``, ``mar_10`` and ``mar_100`` are average recalls
    with at most that many detections of a class per image, and ``mar_small`` and so on those of the sizes.
    ``class_map`` has one value per class. Values that are undefined for lack of objects are NaN; in pycocotools they
    are -1.

    Args:
        num_classes: Number of classes.
        limits: Maximum numbers of detections of a class per image, ascending. Precisions use the last.

    Raises:
        ArgumentError: If the limits are not strictly increasing from at least 1.
    """

    by_class = ("class_map",)

    def __init__(self, num_classes: int, limits: Sequence[int] = (1, 10, 100)) -> None:
        super().__init__()
        if not limits or min(limits) < 1 or sorted(set(limits)) != list(limits):
            message = f"limits is {limits}; expected rising numbers of detections, at least 1."
            raise ArgumentError(message)
        self.num_classes = num_classes
        self.limits = tuple(limits)

    def compute(self) -> dict[str, Tensor]:
        """Return the metrics by name."""
        _, objects, detections = self.records()
        return self.named(coco_scores(detections, objects, self.num_classes, self.limits))

    def named(self, scores: CocoScores, prefix: str = "") -> dict[str, Tensor]:
        """Name the metrics."""
        summary = {f"{prefix}{name}": torch.tensor(value) for name, value in scores.summary().items()}
        values = summary | {f"class_{prefix}map": torch.from_numpy(scores.class_map()).float()}
        return {name: value.to(self.device) for name, value in values.items()}
