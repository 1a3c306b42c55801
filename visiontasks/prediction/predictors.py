"""The table of what predicts, writes and exports each kind of task, and the predictors of those with classes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from visiontasks.data.augmentation.evaluation_view import EvaluationView
from visiontasks.data.augmentation.windows import Window, show_boxes
from visiontasks.data.index.proposal_files import ProposalFile
from visiontasks.detection.mask_pasting import paste_masks
from visiontasks.errors import ArgumentError, DataError
from visiontasks.heads.code import embedding
from visiontasks.prediction.formats import (
    BoxCsv,
    CocoBoxes,
    CocoMasks,
    Codes,
    Csv,
    JsonLines,
    MaskImages,
    ValuesCsv,
    VocXml,
)
from visiontasks.prediction.image_predictor import Fields, ImagePredictor, given_options
from visiontasks.prediction.instance_images import InstanceImages
from visiontasks.prediction.mask_predictor import MaskPredictor
from visiontasks.prediction.programs import DetectionProgram, InstanceProgram, Program
from visiontasks.prediction.results import Box, pasted_run_lengths
from visiontasks.prediction.writers import Writer
from visiontasks.tasks.autoencoding import AutoencodingTask
from visiontasks.tasks.averaging import Flips, check_averaging
from visiontasks.tasks.classification import ClassificationTask
from visiontasks.tasks.detection import DetectionTask
from visiontasks.tasks.instance_segmentation import InstanceSegmentationTask
from visiontasks.tasks.localization import LocalizationTask
from visiontasks.tasks.segmentation import SegmentationTask
from visiontasks.tasks.task import Task
from visiontasks.types import (
    AutoencodingPredictions,
    ClassificationPredictions,
    DetectionPredictions,
    InstancePredictions,
    LocalizationPredictions,
    ProposalBatch,
)


class ClassPredictor(ImagePredictor):
    """Classes of images."""

    def fields(self, predictions: ClassificationPredictions, window: Window) -> Fields:
        """List the most probable class or, if multilabel, all predicted classes, most probable first."""
        label, score = predictions.labels[0], predictions.scores[0]
        if not label.ndim:
            return self.named([int(label)], [float(score)])
        labels = sorted(label.nonzero().flatten().tolist(), key=lambda index: -float(score[index]))
        return self.named(labels, score[labels].tolist())


class LocalizationPredictor(ImagePredictor):
    """One class and one box of each image."""

    def fields(self, predictions: LocalizationPredictions, window: Window) -> Fields:
        """Convert the box to pixels of the original image."""
        named = self.named(predictions.labels.tolist(), predictions.scores.tolist())
        return named | {"boxes": _original(predictions.boxes, window)}


class DetectionPredictor(ImagePredictor):
    """All boxes of each image.

    Args:
        task: The detector.
        view: How images are brought to it.
        score: Minimum score of a box, 0 to 1; by default that of the task.
        proposals: File of proposals, for a detector that does not make its own.
        flips: Mirror images whose boxes are merged with those of the image; by default as the task has it.
        scales: Factors of the size whose boxes are merged; by default as the task has it.

    Raises:
        ArgumentError: If proposals are missing or not needed, or an argument is out of range.
    """

    usual_batch_size = 4
    lists_unsure = True

    def __init__(
        self,
        task: DetectionTask,
        view: EvaluationView,
        *,
        score: float | None = None,
        proposals: str | Path | None = None,
        flips: Flips | None = None,
        scales: Sequence[float] | None = None,
    ) -> None:
        if score is not None and not 0 <= score <= 1:
            message = f"score is {score}; expected 0 to 1."
            raise ArgumentError(message)
        needed = task.proposals == "precomputed"
        if needed != (proposals is not None):
            message = (
                "The detector was trained on precomputed proposals and needs those of the images: make a file of them "
                "with visiontasks propose, and name it as proposals (--proposals FILE)."
            )
            if not needed:
                message = f"proposals is {str(proposals)!r}, but the detector makes its own ({task.proposals})."
            raise ArgumentError(message)
        super().__init__(task, view)
        check_averaging("none" if flips is None else flips, (1.0,) if scales is None else scales)
        self.predict_options = given_options(task.predict, score=score)
        self.forward_options = given_options(task.eval_forward, flips=flips, scales=scales)
        self.file = None if proposals is None else ProposalFile(proposals)
        if needed:
            self.batch_type = ProposalBatch

    def proposals(self, name: Path | int, window: Window) -> Float32[Tensor, "proposals 4"]:
        """Read the proposals of an image, if the detector needs them.

        Raises:
            DataError: If there are none.
        """
        if self.file is None:
            return torch.zeros(0, 4)
        if isinstance(name, int):
            message = f"Proposals are found by the name of a file, and {name} is an array. Give files."
            raise DataError(message)
        (row,) = self.file.rows([name])
        return torch.from_numpy(show_boxes(self.file.boxes(int(row)), window)).float()

    def fields(self, predictions: DetectionPredictions, window: Window) -> Fields:
        """Convert the boxes to pixels of the original image."""
        real = predictions.labels[0] >= 0
        named = self.named(predictions.labels[0, real].tolist(), predictions.scores[0, real].tolist())
        return named | {"boxes": _original(predictions.boxes[0, real], window)}


class InstancePredictor(DetectionPredictor):
    """All boxes of each image, and the mask in each; see :class:`DetectionPredictor`."""

    def fields(self, predictions: InstancePredictions, window: Window) -> Fields:  # type: ignore[override]  # with masks
        """Paste the masks into the original image."""
        real = predictions.labels[0] >= 0
        down, across = _scale(window)
        boxes = predictions.boxes[0, real].double() * torch.tensor([across, down, across, down], dtype=torch.float64)
        size = (window.height, window.width)
        masks = paste_masks(predictions.masks[0, real], boxes, size)
        boxes_and_classes = super().fields(DetectionPredictions(*predictions[:3]), window)
        return boxes_and_classes | {"instances": tuple(pasted_run_lengths(mask, size) for mask in masks)}


class CodePredictor(ImagePredictor):
    """Codes of images and their reconstructions."""

    def fields(self, predictions: AutoencodingPredictions, window: Window) -> Fields:
        """Extract the code and the reconstruction."""
        (code,) = embedding(predictions.codes.float())
        pixels = (255 * predictions.images[0]).round().to(torch.uint8)
        return {"code": tuple(code.tolist()), "reconstruction": pixels}


def _original(boxes: Float[Tensor, "boxes 4"], window: Window) -> tuple[Box, ...]:
    down, across = _scale(window)
    return tuple((x1 * across, y1 * down, x2 * across, y2 * down) for x1, y1, x2, y2 in boxes.tolist())


def _scale(window: Window) -> tuple[float, float]:
    """Return the factors of height and width that map what the network sees to the original."""
    return window.height / window.size[0], window.width / window.size[1]


class PredictionRow(NamedTuple):
    """What predicts, writes and exports one kind of task.

    Attributes:
        predictor: Makes the predictor from the task, its view, and the options.
        options: Names of the options of :func:`~visiontasks.prediction.create_predictor` that are for it.
        writers: Its output formats by name, the default first.
        program: Its program for an export.
    """

    predictor: Callable[..., ImagePredictor]
    options: tuple[str, ...]
    writers: dict[str, type[Writer]]
    program: type[Program] = Program


_OF_DETECTORS = ("score", "proposals", "flips", "scales")

PREDICTION_ROWS: dict[type[Task], PredictionRow] = {
    ClassificationTask: PredictionRow(ClassPredictor, (), {"csv": Csv, "jsonl": JsonLines}),
    LocalizationTask: PredictionRow(
        LocalizationPredictor, (), {"csv": BoxCsv, "jsonl": JsonLines, "coco": CocoBoxes, "voc": VocXml}
    ),
    InstanceSegmentationTask: PredictionRow(
        InstancePredictor,
        _OF_DETECTORS,
        {"jsonl": JsonLines, "csv": BoxCsv, "coco": CocoBoxes, "png": InstanceImages},
        InstanceProgram,
    ),
    DetectionTask: PredictionRow(
        DetectionPredictor,
        _OF_DETECTORS,
        {"jsonl": JsonLines, "csv": BoxCsv, "coco": CocoBoxes, "voc": VocXml},
        DetectionProgram,
    ),
    SegmentationTask: PredictionRow(
        MaskPredictor,
        ("window", "overlap", "flips", "scales", "windows_at_once"),
        {"png": MaskImages, "jsonl": JsonLines, "coco": CocoMasks},
    ),
    AutoencodingTask: PredictionRow(CodePredictor, (), {"jsonl": JsonLines, "npz": Codes}),
}
_ROW_OF_A_KIND = PredictionRow(ImagePredictor, (), {"jsonl": JsonLines, "csv": ValuesCsv})
"""Of a task that brings its own kind."""
_WRITERS = {name: writer for row in PREDICTION_ROWS.values() for name, writer in row.writers.items()}
FORMAT_OF_SUFFIX = {writer.suffix: name for name, writer in _WRITERS.items() if not writer.into_folder}


def make_program(task: Task, image_size: tuple[int, int]) -> Program:
    """Make a task a function of tensors, for an export.

    Args:
        task: The task; one of an unknown kind is a function of images alone.
        image_size: Height and width in pixels of the images.

    Raises:
        ArgumentError: If the task needs more than the images.
        ExportError: If it cannot be computed from them, or its predictions are not tensors.
    """
    row = row_of(task)
    return (row.program if row else Program)(task, image_size)


def row_of(task: Task) -> PredictionRow | None:
    """Look up what predicts a task: by its own ``kind`` if it has one that says how to write, else by its class.

    Args:
        task: The task.

    Returns:
        The row; None for a task of an unknown kind.
    """
    if task.kind is not None and task.kind.row is not None:
        return _ROW_OF_A_KIND
    return next((row for owner, row in PREDICTION_ROWS.items() if isinstance(task, owner)), None)
