"""Conversion of images to batches of a task, and of its outputs to the prediction of each image."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from jaxtyping import UInt8
from torch import Tensor

from visiontasks.data.augmentation.resizing import Resizing, Stretch, Whole, Window, Within, show_boxes, show_image
from visiontasks.data.images.arrays import Pixels, to_tensor
from visiontasks.data.index.proposal_files import ProposalFile
from visiontasks.data.loading.collate import collate
from visiontasks.errors import ArgumentError, DataError
from visiontasks.heads.code import embedding
from visiontasks.prediction.results import Box
from visiontasks.tasks.autoencoding import AutoencodingTask
from visiontasks.tasks.classification import ClassificationTask
from visiontasks.tasks.detection import DetectionTask
from visiontasks.tasks.localization import LocalizationTask
from visiontasks.tasks.task import Task
from visiontasks.types import (
    AutoencodingBatch,
    AutoencodingPredictions,
    ClassificationBatch,
    ClassificationPredictions,
    DetectionBatch,
    DetectionPredictions,
    LocalizationBatch,
    LocalizationPredictions,
    ProposalBatch,
)

Found = dict[str, Any]
"""Fields of :class:`~visiontasks.prediction.results.Prediction` that a task fills."""


class ImagePredictor(ABC):
    """What a task needs in order to predict images.

    Args:
        task: The task, on its device and in evaluation mode.

    Attributes:
        batch_size: Default number of images computed at once.
        formats: Names of the formats for its results, the default first.
    """

    batch_size = 64
    formats: tuple[str, ...]

    def __init__(self, task: Any) -> None:  # noqa: ANN401 (the task of a subclass)
        self.task = task
        self.class_names: list[str] = task.display_names

    @abstractmethod
    def prepare(self, pixels: Pixels, name: Path | int) -> Any:  # noqa: ANN401 (what predict takes)
        """Convert an image to an input of the network; called in several threads at once.

        Raises:
            DataError: If it cannot be done for this image.
        """

    @abstractmethod
    def predict(self, samples: Sequence[Any]) -> list[Found]:
        """Predict prepared images."""

    def named(self, labels: Sequence[int], scores: Sequence[float]) -> Found:
        """Add the class names to labels and scores."""
        names = tuple(self.class_names[label] for label in labels)
        return {"labels": tuple(labels), "class_names": names, "scores": tuple(scores)}


class BatchPredictor(ImagePredictor):
    """Images that are resized and go through the task as a batch of its own type."""

    multiple = 1

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.resizing = self._resizing()

    @abstractmethod
    def sample(self, image: UInt8[Tensor, "channels height width"], window: Window, name: Path | int) -> NamedTuple:
        """Make the sample of an image without annotations."""

    @abstractmethod
    def found(self, predictions: Any, index: int, scale: Tensor) -> Found:  # noqa: ANN401 (each task has its own)
        """Extract the prediction of one image of the batch, in pixels of the original."""

    def prepare(self, pixels: Pixels, name: Path | int) -> tuple[NamedTuple, Tensor]:
        """Resize an image as in evaluation."""
        window = self.resizing.window(pixels.shape[0], pixels.shape[1], Random(0))
        image = to_tensor(show_image(pixels, window))
        scale = torch.tensor([window.height / window.size[0], window.width / window.size[1]])
        return self.sample(image, window, name), scale

    @torch.inference_mode()
    def predict(self, samples: Sequence[tuple[NamedTuple, Tensor]]) -> list[Found]:
        """Predict a batch."""
        batch = collate([sample for sample, _ in samples], self.multiple)
        batch = type(batch)._make(field.to(self.task.device) for field in batch)
        predictions = self.task.predict(self.task.eval_forward(*self.task.inputs(batch)))
        on_cpu = type(predictions)(*(field.cpu() for field in predictions))
        return [self.found(on_cpu, index, scale) for index, (_, scale) in enumerate(samples)]

    def _resizing(self) -> Resizing:
        size = self.task.image_size
        if size is None:
            message = (
                "The checkpoint does not say which image size it was trained on: load the task with image_size=(H, W)."
            )
            raise ArgumentError(message)
        return Stretch((size[0], size[1]))


class ClassificationPredictor(BatchPredictor):
    """Classes of images."""

    formats = ("csv", "jsonl")

    def sample(self, image: UInt8[Tensor, "channels height width"], window: Window, name: Path | int) -> NamedTuple:
        """Make a sample without a class."""
        return ClassificationBatch(image, torch.tensor(0), torch.tensor(0))

    def found(self, predictions: ClassificationPredictions, index: int, scale: Tensor) -> Found:
        """List the most probable class or, if multilabel, all predicted classes, most probable first."""
        label, score = predictions.labels[index], predictions.scores[index]
        if not label.ndim:
            return self.named([int(label)], [float(score)])
        labels = sorted(label.nonzero().flatten().tolist(), key=lambda own: -float(score[own]))
        return self.named(labels, score[labels].tolist())


class LocalizationPredictor(BatchPredictor):
    """One class and one box of each image."""

    formats = ("csv", "jsonl", "coco", "voc")

    def sample(self, image: UInt8[Tensor, "channels height width"], window: Window, name: Path | int) -> NamedTuple:
        """Make a sample without an object."""
        size = torch.tensor(image.shape[-2:])
        return LocalizationBatch(image, torch.tensor(-1), torch.zeros(4), size, torch.ones(2), torch.tensor(0))

    def found(self, predictions: LocalizationPredictions, index: int, scale: Tensor) -> Found:
        """Convert the box to pixels of the original image."""
        boxes = _original(predictions.boxes[index : index + 1], scale)
        return self.named([int(predictions.labels[index])], [float(predictions.scores[index])]) | {"boxes": boxes}


class DetectionPredictor(BatchPredictor):
    """All boxes of each image.

    Args:
        task: The detector.
        score: Minimum score of a box, 0 to 1; by default that of the task.
        proposals: File of proposals, for a detector that does not make its own.

    Raises:
        ArgumentError: If proposals are missing, or not needed.
    """

    batch_size = 4
    formats = ("jsonl", "csv", "coco", "voc")

    def __init__(self, task: DetectionTask, score: float | None = None, proposals: str | Path | None = None) -> None:
        needed = task.proposals == "precomputed"
        if needed != (proposals is not None):
            message = (
                "The detector was trained on precomputed proposals and needs those of the images: make a file of them "
                "with visiontasks propose, and name it as proposals (--proposals FILE)."
            )
            if not needed:
                message = f"proposals is {str(proposals)!r}, but the detector makes its own ({task.proposals})."
            raise ArgumentError(message)
        super().__init__(task)
        self.score = task.roi_head.score_thresh if score is None else score
        self.proposals = None if proposals is None else ProposalFile(proposals)
        # As in evaluation, where the shape of images is kept.
        self.multiple = 32 if isinstance(self.resizing, Within) else 1

    def sample(self, image: UInt8[Tensor, "channels height width"], window: Window, name: Path | int) -> NamedTuple:
        """Make a sample without objects."""
        nothing, no_label, unscaled = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.ones(2)
        size, no_flag = torch.tensor(image.shape[-2:]), torch.zeros(0, dtype=torch.bool)
        fields = (image, nothing, no_label, no_flag, size, unscaled, torch.tensor(0), torch.zeros(0))
        if self.proposals is None:
            return DetectionBatch(*fields)
        if isinstance(name, int):
            message = f"Array {name} has no name, by which proposals are found. Give files."
            raise DataError(message)
        (row,) = self.proposals.rows([name])
        boxes = show_boxes(self.proposals.boxes(int(row)), window)
        return ProposalBatch(*fields, torch.from_numpy(boxes).float())

    def predict(self, samples: Sequence[tuple[NamedTuple, Tensor]]) -> list[Found]:
        """Predict a batch, with the minimum score of the predictor in place of the task's."""
        head = self.task.roi_head
        own, head.score_thresh = head.score_thresh, self.score
        try:
            return super().predict(samples)
        finally:
            head.score_thresh = own

    def found(self, predictions: DetectionPredictions, index: int, scale: Tensor) -> Found:
        """Convert the boxes to pixels of the original image."""
        kept = predictions.labels[index] >= 0
        named = self.named(predictions.labels[index, kept].tolist(), predictions.scores[index, kept].tolist())
        return named | {"boxes": _original(predictions.boxes[index, kept], scale)}

    def _resizing(self) -> Resizing:
        if self.task.image_bounds:
            return Within(*self.task.image_bounds)
        return super()._resizing() if self.task.image_size else Within()


class AutoencodingPredictor(BatchPredictor):
    """Codes of images and their reconstructions."""

    formats = ("jsonl", "npz")

    def __init__(self, task: AutoencodingTask) -> None:
        super().__init__(task)
        # Images of their own sizes do not fit into one batch, and padding would change their codes.
        if isinstance(self.resizing, Whole):
            self.batch_size = 1

    def sample(self, image: UInt8[Tensor, "channels height width"], window: Window, name: Path | int) -> NamedTuple:
        """Make a sample without a class."""
        return AutoencodingBatch(image, torch.tensor(-1), torch.tensor(0))

    def found(self, predictions: AutoencodingPredictions, index: int, scale: Tensor) -> Found:
        """Extract the code and the reconstruction."""
        (code,) = embedding(predictions.codes[index : index + 1].float())
        pixels = (255 * predictions.images[index]).round().to(torch.uint8)
        return {"code": tuple(code.tolist()), "reconstruction": pixels}

    def _resizing(self) -> Resizing:
        return super()._resizing() if self.task.image_size else Whole()


def _original(boxes: Tensor, scale: Tensor) -> tuple[Box, ...]:
    return tuple((x1, y1, x2, y2) for x1, y1, x2, y2 in (boxes * scale.flip(0).repeat(2)).tolist())


PREDICTORS: tuple[tuple[type[Task], type[BatchPredictor]], ...] = (
    (ClassificationTask, ClassificationPredictor),
    (LocalizationTask, LocalizationPredictor),
    (AutoencodingTask, AutoencodingPredictor),
)
"""Tasks that are predicted without options."""
