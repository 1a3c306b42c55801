"""The images that a task is most wrong about."""

import heapq
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from visiontasks.callbacks.pictures import EvaluationPictures
from visiontasks.callbacks.prediction_images import draw
from visiontasks.callbacks.wandb_images import wandb_images
from visiontasks.types import (
    IGNORED,
    ClassificationPredictions,
    LocalizationPredictions,
    SegmentationPredictions,
)
from visiontasks.visualization import shelve


class _Sample(NamedTuple):
    """How wrong it is, the number of the image, and batch and predictions of it alone."""

    wrong: float
    number: int
    batch: Any
    predictions: Any


class WorstSamples(EvaluationPictures):
    """Shows the images of a validation or test that the task is most wrong about, the worst first.

    How wrong it is, is for a class of an image minus the logarithm of its probability (of several classes, their mean),
    for a localization 1 minus probability times overlap, and for a segmentation the share of pixels that are wrong. For
    detections use the gallery of :class:`~visiontasks.callbacks.prediction_images.PredictionImages`.

    The pictures are ``worst/val_epoch_N.png`` and ``worst/test.png`` in the run folder; Weights & Biases gets a table.

    Args:
        count: How many; 0 for none.
    """

    title = "worst"

    def __init__(self, count: int = 16) -> None:
        super().__init__()
        self.count = count
        self._worst: list[tuple[float, int, _Sample]] = []

    def begin(self) -> None:
        """Keep none."""
        self._worst = []

    def look(self, trainer: Trainer, task: Any, outputs: Any, batch: Any, index: int, stage: str, name: str) -> None:
        """Keep the worst of a batch."""
        batch = task.as_batch(batch)
        if not trainer.loggers or not len(batch.images) or task.takes not in _JUDGES:
            return
        predictions = task.predict(outputs)
        judge = _JUDGES[task.takes]
        if not isinstance(predictions, tuple) or not hasattr(predictions, "_fields"):
            return
        for index, wrong in enumerate(judge(predictions, batch).tolist()):
            if len(self._worst) >= self.count and (not self.count or wrong <= self._worst[0][0]):
                continue
            alone = (_one(batch, index), _one(predictions, index))
            number = int(batch.ids[index])
            heapq.heappush(self._worst, (wrong, -number, _Sample(wrong, number, *alone)))
            if len(self._worst) > self.count:
                heapq.heappop(self._worst)

    def finish(self, trainer: Trainer, task: Any, stage: str, name: str) -> None:
        """Draw the worst of all processes."""
        found = [sample for _, _, sample in self._worst]
        self._worst = []
        if trainer.world_size > 1:
            parts: list[list[_Sample]] = [[] for _ in range(trainer.world_size)]
            dist.all_gather_object(parts, found)
            found = [sample for part in parts for sample in part]
        found = sorted(found, key=lambda sample: (-sample.wrong, sample.number))[: self.count]
        if not found or not self.shows(trainer):
            return
        names = task.class_names or [str(index) for index in range(task.num_classes)]
        pictures = [
            picture for sample in found if (picture := draw(sample.batch, sample.predictions, names)) is not None
        ]
        if not pictures:
            return
        native = None
        if any(isinstance(logger, WandbLogger) for logger in trainer.loggers):
            native = _table(found, names)
        self.show(trainer, f"{stage}/worst", name, shelve(pictures), native)


def _table(samples: Sequence[_Sample], names: Sequence[str]) -> Any:
    import wandb

    table = wandb.Table(columns=["image", "number", "wrong", "true", "predicted"])
    for sample in samples:
        images = wandb_images(sample.batch, sample.predictions, names)
        assert images is not None
        true, found = (_named(value, names) for value in (_labels(sample.batch), _labels(sample.predictions)))
        table.add_data(images[0], sample.number, sample.wrong, true, found)
    return table


def _labels(fields: Any) -> Tensor:
    """Take the classes of one image: one, several (a flag each), or those of its pixels."""
    labels: Tensor = fields.masks[0] if hasattr(fields, "masks") else fields.labels[0]
    return labels


def _named(labels: Tensor, names: Sequence[str]) -> str:
    if not labels.ndim:
        return names[int(labels)] if labels >= 0 else "none"
    chosen = labels.nonzero().flatten() if labels.ndim == 1 else torch.unique(labels)
    return ", ".join(names[label] for label in chosen.tolist() if label < len(names))


def _one(fields: Any, index: int) -> Any:
    """Take one image of a batch, to the CPU."""
    return type(fields)(*(field[index : index + 1].cpu() if isinstance(field, Tensor) else field for field in fields))


def _classification(predictions: ClassificationPredictions, batch: Any) -> Tensor:
    probabilities = predictions.probabilities.float().clamp(1e-12, 1)
    if batch.labels.ndim == 1:
        return -probabilities.gather(1, batch.labels[:, None]).log()[:, 0]
    right = torch.where(batch.labels >= 0.5, probabilities, (1 - probabilities).clamp(min=1e-12))
    return -right.log().mean(1)


def _localization(predictions: LocalizationPredictions, batch: Any) -> Tensor:
    label = batch.labels.clamp(min=0)
    probability = predictions.probabilities.gather(1, label[:, None])[:, 0]
    box = predictions.class_boxes[torch.arange(len(label), device=label.device), label]
    sides = torch.minimum(box[:, 2:], batch.boxes[:, 2:]) - torch.maximum(box[:, :2], batch.boxes[:, :2])
    shared = sides.clamp(min=0).prod(1)
    areas = [(own[:, 2:] - own[:, :2]).prod(1) for own in (box, batch.boxes)]
    overlap = shared / (areas[0] + areas[1] - shared).clamp(min=1e-9)
    return torch.where(batch.labels >= 0, 1 - probability * overlap, predictions.scores)


def _segmentation(predictions: SegmentationPredictions, batch: Any) -> Tensor:
    counted = batch.masks != IGNORED
    wrong = (predictions.labels != batch.masks) & counted
    shares: Tensor = wrong.flatten(1).sum(1) / counted.flatten(1).sum(1).clamp(min=1)
    return shares


_JUDGES: dict[str, Callable[..., Tensor]] = {
    "classification": _classification,
    "multilabel classification": _classification,
    "localization": _localization,
    "segmentation": _segmentation,
}
