"""Detections and objects of an evaluation in flat arrays, gathered from all processes."""

from abc import ABC
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from visiontasks.errors import DataError
from visiontasks.types import DetectionPredictions

_IMAGE, _OBJECT, _DETECTION = 0, 1, 2
# Columns of a record: kind, id of the image, class, ignored; then the bits of float64: score or area, and the box.
_INTEGERS, _COLUMNS = 4, 9


class Detections(NamedTuple):
    """The detections of a data set.

    Attributes:
        images: Position of the image of each entry.
        boxes: xyxy in pixels of the original image.
        labels: Classes.
        scores: Scores.
    """

    images: Int64[np.ndarray, " detections"]
    boxes: Float64[np.ndarray, "detections 4"]
    labels: Int64[np.ndarray, " detections"]
    scores: Float64[np.ndarray, " detections"]


class TrueObjects(NamedTuple):
    """The objects of a data set.

    Attributes:
        images: Position of the image of each entry.
        boxes: xyxy in pixels of the original image.
        labels: Classes.
        ignore: Whether an object is ignored in matching and evaluation.
        areas: Areas in square pixels.
    """

    images: Int64[np.ndarray, " objects"]
    boxes: Float64[np.ndarray, "objects 4"]
    labels: Int64[np.ndarray, " objects"]
    ignore: Bool[np.ndarray, " objects"]
    areas: Float64[np.ndarray, " objects"]


class Records(NamedTuple):
    """Records of an evaluation, each image once, in ascending order of id.

    Attributes:
        ids: Id of each image.
        objects: Their objects.
        detections: Their detections.
    """

    ids: Int64[np.ndarray, " images"]
    objects: TrueObjects
    detections: Detections


class DetectionMetric(Metric, ABC):
    """Stores detections and objects in pixels of the original images, and gathers them from all processes.

    An image that is seen twice counts once. A subclass computes its values from :meth:`records`.
    """

    full_state_update = False
    rows: list[Tensor] | Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, predictions: DetectionPredictions, batch: Any) -> None:  # noqa: ANN401 (see Args)
        """Add the detections and the objects of a batch.

        Args:
            predictions: Detections in pixels of the batch's images.
            batch: The images and their objects: a :class:`~visiontasks.types.DetectionBatch`, or a tuple of your own
                with more fields.

        Raises:
            DataError: If a score is NaN.
        """
        boxes, scores, labels = predictions
        if bool(scores.isnan().any()):
            message = (
                f"A score is not a number in the images with ids {batch.ids.tolist()}: the network has diverged. Use "
                "an earlier checkpoint."
            )
            raise DataError(message)
        # MPS has no float64.
        device = torch.device("cpu") if batch.ids.device.type == "mps" else batch.ids.device
        ids, scale = batch.ids.to(device), batch.scale.to(device).double().flip(1).repeat(1, 2)[:, None]
        count = len(ids)
        places = torch.zeros(count, 1, dtype=torch.int64, device=device)
        parts = (
            _rows(ids, _IMAGE, places, None, places.double(), places[..., None].double().expand(-1, -1, 4)),
            _rows(
                ids, _OBJECT, *(field.to(device) for field in (batch.labels, batch.ignore, batch.areas, batch.boxes))
            ),
            _rows(ids, _DETECTION, labels.to(device), None, scores.to(device), boxes.to(device)),
        )
        rows = torch.cat(parts, 1)
        rows[..., _INTEGERS + 1 :] = (rows[..., _INTEGERS + 1 :].view(torch.float64) * scale).view(torch.int64)
        rows = rows.flatten(0, 1)
        assert isinstance(self.rows, list)  # until it is gathered
        self.rows.append(rows[rows[:, 2] >= 0])  # without padding

    def records(self) -> Records:
        """Return the stored records sorted by image; if an image was seen twice, the first time counts."""
        rows = dim_zero_cat(self.rows).cpu().numpy() if len(self.rows) else np.zeros((0, _COLUMNS), np.int64)
        # The rows of an image follow its first one.
        blocks = np.cumsum(rows[:, 0] == _IMAGE) - 1
        ids, first, image = np.unique(rows[rows[:, 0] == _IMAGE, 1], return_index=True, return_inverse=True)
        seen = np.isin(blocks, first)
        rows, images = rows[seen], image[blocks[seen]]
        order = np.argsort(images, kind="stable")
        rows, images = rows[order], images[order].astype(np.int64)
        values = np.ascontiguousarray(rows[:, _INTEGERS:]).view(np.float64)
        objects, found = rows[:, 0] == _OBJECT, rows[:, 0] == _DETECTION
        return Records(
            ids,
            TrueObjects(
                images[objects], values[objects, 1:], rows[objects, 2], rows[objects, 3] != 0, values[objects, 0]
            ),
            Detections(images[found], values[found, 1:], rows[found, 2], values[found, 0]),
        )


def _rows(ids: Tensor, kind: int, labels: Tensor, ignore: Tensor | None, number: Tensor, boxes: Tensor) -> Tensor:
    """Combine fields [batch, n] to records [batch, n, columns]."""
    integers = torch.zeros(*labels.shape, _INTEGERS, dtype=torch.int64, device=labels.device)
    integers[..., 0], integers[..., 1], integers[..., 2] = kind, ids[:, None], labels
    if ignore is not None:
        integers[..., 3] = ignore
    floats = torch.cat([number[..., None].double(), boxes.double()], -1)
    return torch.cat([integers, floats.contiguous().view(torch.int64)], -1)
