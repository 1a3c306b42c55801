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

_IMAGE, _OBJECT, DETECTION = 0, 1, 2

BatchRecords = tuple[int, Tensor, Tensor, Tensor]
"""Records of a batch: their kind, two integers of each [batch, records], of which the first is negative for padding,
and floats [batch, records, columns]."""


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


class SortedStates(NamedTuple):
    """What a metric has stored, each image once, in ascending order of id.

    Attributes:
        ids: Id of each image.
        images: Position of the image of each record.
        integers: Integers of each record, see :class:`DetectionMetric`.
        floats: Floats of each record.
    """

    ids: Int64[np.ndarray, " images"]
    images: Int64[np.ndarray, " records"]
    integers: Int64[np.ndarray, "records 4"]
    floats: Float64[np.ndarray, "records columns"]

    def of_kind(self, kind: int) -> "SortedStates":
        """Select the records of a kind."""
        chosen = self.integers[:, 0] == kind
        return SortedStates(self.ids, self.images[chosen], self.integers[chosen], self.floats[chosen])


class DetectionMetric(Metric, ABC):
    """Stores detections and objects in pixels of the original images, and gathers them from all processes.

    An image that is seen twice counts once. A subclass computes its values from :meth:`records`.
    """

    full_state_update = False
    integers: list[Tensor] | Tensor
    """Of each record: kind, id of the image, class, and whether it is ignored; int64, [records, 4]."""
    floats: list[Tensor] | Tensor
    """Of each record: score or area, and the box; float64, [records, 5], and more columns where a subclass has more."""

    def __init__(self) -> None:
        super().__init__()
        self.add_state("integers", [], dist_reduce_fx="cat")
        self.add_state("floats", [], dist_reduce_fx="cat")

    def update(self, predictions: Any, batch: Any) -> None:  # noqa: ANN401 (see Args)
        """Add the detections and the objects of a batch.

        Args:
            predictions: Detections in pixels of the batch's images: :class:`~visiontasks.types.DetectionPredictions`,
                or a tuple with more fields.
            batch: The images and their objects: a :class:`~visiontasks.types.DetectionBatch`, or a tuple of your own
                with more fields.

        Raises:
            DataError: If a score is NaN.
        """
        if bool(predictions.scores.isnan().any()):
            message = (
                f"A score is not a number in the images with ids {batch.ids.tolist()}: the network has diverged. Use "
                "an earlier checkpoint."
            )
            raise DataError(message)
        integers, floats = [], []
        for kind, first, second, numbers in self.batch_records(predictions, batch):
            of_images = batch.ids.to(first.device)[:, None].expand_as(first)
            integers.append(torch.stack([torch.full_like(first, kind), of_images, first, second.long()], -1))
            floats.append(numbers)
        every = torch.cat(integers, 1)
        real = every[..., 2] >= 0  # without padding
        assert isinstance(self.integers, list)  # until they are gathered
        assert isinstance(self.floats, list)
        self.integers.append(every[real])
        self.floats.append(torch.cat(floats, 1)[real])

    def batch_records(self, predictions: Any, batch: Any) -> list[BatchRecords]:  # noqa: ANN401 (see update)
        """Make the records of a batch: of each image itself, of its objects, and of its detections."""
        # MPS has no float64.
        device = torch.device("cpu") if batch.ids.device.type == "mps" else batch.ids.device
        scale = batch.scale.to(device).double().flip(1).repeat(1, 2)[:, None]
        zeros = torch.zeros_like(batch.ids)[:, None]
        fields = (
            (_IMAGE, zeros, zeros, zeros, zeros[..., None].expand(-1, -1, 4)),
            (_OBJECT, batch.labels, batch.ignore, batch.areas, batch.boxes),
            (DETECTION, predictions.labels, zeros.expand_as(predictions.labels), predictions.scores, predictions.boxes),
        )
        records = []
        for kind, *tensors in fields:
            labels, ignore, numbers, boxes = (tensor.to(device) for tensor in tensors)
            floats = torch.cat([numbers[..., None].double(), boxes.double() * scale], -1)
            records.append((kind, labels, ignore, floats))
        return records

    def records(self) -> Records:
        """Return the stored records sorted by image; if an image was seen twice, the first time counts."""
        return records_of(self.sorted_states())

    def sorted_states(self) -> SortedStates:
        """Return what is stored, sorted by image; if an image was seen twice, the first time counts."""
        if not len(self.integers):
            integers, floats = np.zeros((0, 4), np.int64), np.zeros((0, 6))
        else:
            integers, floats = (dim_zero_cat(state).cpu().numpy() for state in (self.integers, self.floats))
        # The records of an image follow its first one.
        is_image = integers[:, 0] == _IMAGE
        blocks = np.cumsum(is_image) - 1
        ids, first, image = np.unique(integers[is_image, 1], return_index=True, return_inverse=True)
        order = np.flatnonzero(np.isin(blocks, first))
        order = order[np.argsort(image[blocks[order]], kind="stable")]
        return SortedStates(ids, image[blocks[order]].astype(np.int64), integers[order], floats[order])


def records_of(states: SortedStates) -> Records:
    """Take the objects and the detections from what a metric has stored."""
    objects, detections = states.of_kind(_OBJECT), states.of_kind(DETECTION)
    return Records(
        states.ids,
        TrueObjects(
            objects.images,
            objects.floats[:, 1:5],
            objects.integers[:, 2],
            objects.integers[:, 3] != 0,
            objects.floats[:, 0],
        ),
        Detections(detections.images, detections.floats[:, 1:5], detections.integers[:, 2], detections.floats[:, 0]),
    )
