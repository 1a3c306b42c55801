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
    integers: list[Tensor] | Tensor
    """Of each record: kind, id of the image, class, and whether it is ignored; int64, [records, 4]."""
    floats: list[Tensor] | Tensor
    """Of each record: score or area, and the box; float64, [records, 5]."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("integers", [], dist_reduce_fx="cat")
        self.add_state("floats", [], dist_reduce_fx="cat")

    def update(self, predictions: DetectionPredictions, batch: Any) -> None:  # noqa: ANN401 (see Args)
        """Add the detections and the objects of a batch.

        Args:
            predictions: Detections in pixels of the batch's images.
            batch: The images and their objects: a :class:`~visiontasks.types.DetectionBatch`, or a tuple of your own
                with more fields.

        Raises:
            DataError: If a score is NaN.
        """
        boxes, scores, labels = predictions.boxes, predictions.scores, predictions.labels
        if bool(scores.isnan().any()):
            message = (
                f"A score is not a number in the images with ids {batch.ids.tolist()}: the network has diverged. Use "
                "an earlier checkpoint."
            )
            raise DataError(message)
        # MPS has no float64.
        device = torch.device("cpu") if batch.ids.device.type == "mps" else batch.ids.device
        ids, scale = batch.ids.to(device), batch.scale.to(device).double().flip(1).repeat(1, 2)[:, None]
        zeros = torch.zeros_like(ids)[:, None]
        records = (
            (_IMAGE, zeros, zeros, zeros, zeros[..., None].expand(-1, -1, 4)),
            (_OBJECT, batch.labels, batch.ignore, batch.areas, batch.boxes),
            (_DETECTION, labels, torch.zeros_like(labels), scores, boxes),
        )
        integers, floats = [], []
        for kind, *fields in records:
            classes, ignore, numbers, corners = (field.to(device) for field in fields)
            of_images = ids[:, None].expand_as(classes)
            integers.append(torch.stack([torch.full_like(classes, kind), of_images, classes, ignore.long()], -1))
            floats.append(torch.cat([numbers[..., None].double(), corners.double() * scale], -1))
        every = torch.cat(integers, 1)
        real = every[..., 2] >= 0  # without padding
        assert isinstance(self.integers, list)  # until they are gathered
        assert isinstance(self.floats, list)
        self.integers.append(every[real])
        self.floats.append(torch.cat(floats, 1)[real])

    def records(self) -> Records:
        """Return the stored records sorted by image; if an image was seen twice, the first time counts."""
        if not len(self.integers):
            integers, floats = np.zeros((0, 4), np.int64), np.zeros((0, 5))
        else:
            integers, floats = (dim_zero_cat(state).cpu().numpy() for state in (self.integers, self.floats))
        # The records of an image follow its first one.
        is_image = integers[:, 0] == _IMAGE
        blocks = np.cumsum(is_image) - 1
        ids, first, image = np.unique(integers[is_image, 1], return_index=True, return_inverse=True)
        order = np.flatnonzero(np.isin(blocks, first))
        order = order[np.argsort(image[blocks[order]], kind="stable")]
        integers, floats, images = integers[order], floats[order], image[blocks[order]].astype(np.int64)
        objects, detections = integers[:, 0] == _OBJECT, integers[:, 0] == _DETECTION
        return Records(
            ids,
            TrueObjects(
                images[objects],
                floats[objects, 1:],
                integers[objects, 2],
                integers[objects, 3] != 0,
                floats[objects, 0],
            ),
            Detections(images[detections], floats[detections, 1:], integers[detections, 2], floats[detections, 0]),
        )
