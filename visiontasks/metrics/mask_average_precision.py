"""COCO's metrics of a detector with masks."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from visiontasks.metrics.coco_average_precision import CocoAveragePrecision
from visiontasks.metrics.coco_scoring import coco_scores
from visiontasks.metrics.detection_records import DETECTION, BatchRecords, records_of
from visiontasks.metrics.mask_overlaps import batch_overlaps
from visiontasks.metrics.overlaps import Overlaps

_OVERLAP = DETECTION + 1
"""A record of a detection and an object whose masks overlap: their numbers in the image, and how much."""


class MaskAveragePrecision(CocoAveragePrecision):
    """COCO's twelve metrics of masks and the mask average precision of each class, equal to those of pycocotools.

    Lin et al., Microsoft COCO: common objects in context (ECCV 2014), evaluated as by ``COCOeval`` for
    ``iouType="segm"``: ``mask_map``, ``mask_map_50`` and the others are what
    :class:`~visiontasks.metrics.coco_average_precision.CocoAveragePrecision` calls ``map``, ``map_50`` and so on, but
    that masks are compared in place of boxes: the predicted ones are pasted into the image that the true ones are drawn
    in. ``class_mask_map`` has one value per class.

    Masks of an image are compared when it is seen; what is kept of them, and gathered from all processes, are the areas
    of the predicted ones and the overlaps that count.

    Args:
        num_classes: Number of classes.
        limits: Maximum numbers of detections of a class per image, ascending. Precisions use the last.

    Raises:
        ArgumentError: If the limits are not strictly increasing from at least 1.
    """

    by_class = ("class_mask_map",)

    def batch_records(self, predictions: Any, batch: Any) -> list[BatchRecords]:  # noqa: ANN401 (of InstanceBatch)
        """Add the area of the mask to each detection, and records of the overlaps to those of the batch."""
        records = super().batch_records(predictions, batch)
        device = records[0][1].device
        detections, objects, overlaps = batch_overlaps(predictions, batch)
        areas = torch.zeros(predictions.labels.shape, dtype=torch.float64)
        areas[predictions.labels.cpu() >= 0] = torch.from_numpy(overlaps.areas)
        widened = []
        for kind, first, second, floats in records:
            column = areas.to(device) if kind == DETECTION else torch.zeros_like(floats[..., 0])
            widened.append((kind, first, second, torch.cat([floats, column[..., None]], -1)))
        images = detections.images[overlaps.detections]
        starts = np.searchsorted(images, np.arange(len(batch.ids) + 1))
        most = int(np.diff(starts).max(initial=0))
        numbers = torch.full((2, len(batch.ids), most), -1)
        values = torch.zeros(len(batch.ids), most, 6, dtype=torch.float64)
        place = (images, np.arange(len(images)) - starts[images])
        for row, of, owners in ((0, overlaps.detections, detections.images), (1, overlaps.objects, objects.images)):
            numbers[row][place] = torch.from_numpy(of - np.searchsorted(owners, images))
        values[..., 0][place] = torch.from_numpy(overlaps.values)
        return [*widened, (_OVERLAP, numbers[0].to(device), numbers[1].to(device), values.to(device))]

    def compute(self) -> dict[str, Tensor]:
        """Return the metrics by name."""
        states = self.sorted_states()
        _, objects, detections = records_of(states)
        pairs = states.of_kind(_OVERLAP)
        overlaps = Overlaps(
            states.of_kind(DETECTION).floats[:, 5],
            np.searchsorted(detections.images, pairs.images) + pairs.integers[:, 2],
            np.searchsorted(objects.images, pairs.images) + pairs.integers[:, 3],
            pairs.floats[:, 0],
        )
        return self.named(coco_scores(detections, objects, self.num_classes, self.limits, overlaps), "mask_")
