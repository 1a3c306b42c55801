"""Pictures of confusion matrices."""

from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from visiontasks.callbacks.evaluation_files import KEPT, Keep
from visiontasks.callbacks.kinds import class_pairs
from visiontasks.callbacks.pictures import EvaluationPictures
from visiontasks.metrics.coco_average_precision import CocoAveragePrecision
from visiontasks.metrics.confusion import ConfusionMatrix
from visiontasks.metrics.detection_confusion import count_confusion
from visiontasks.metrics.empty_states import fill_empty_states
from visiontasks.visualization import draw_confusion

_MOST_CLASSES = 100
"""Maximum number of classes of a chart in the browser."""


class ConfusionImages(EvaluationPictures):
    """Shows the confusion matrix of every validation and test, over all processes.

    It counts classes of images, of pixels, or of detections with a score of at least 0.5, with background as an
    additional class. The pictures are ``confusion/val_epoch_N.png`` and ``confusion/test.png`` in the run folder;
    Weights & Biases gets a chart. There is no confusion matrix for multilabel tasks.

    Args:
        keep: How many validations of a training keep their pictures, besides the newest and the best; ``"all"`` for
            all of them.
    """

    title = "confusion"

    def __init__(self, keep: Keep = KEPT) -> None:
        super().__init__(keep)
        self._counts: Tensor | None = None

    def begin(self) -> None:
        """Count from 0."""
        self._counts = None

    def look(
        self, trainer: Trainer, task: Any, predictions: Any, batch: Any, index: int, stage: str, name: str
    ) -> None:
        """Count a batch."""
        pairs = class_pairs(predictions, batch)
        if pairs is None or task.num_classes is None:
            return
        # An image without an object is counted in a row that is cut off.
        true, predicted = pairs
        cells = (true + 1) * task.num_classes + predicted
        counts = torch.bincount(cells, minlength=(task.num_classes + 1) * task.num_classes)
        counts = counts.view(task.num_classes + 1, task.num_classes)[1:]
        self._counts = counts if self._counts is None else self._counts + counts

    def finish(self, trainer: Trainer, task: Any, stage: str, name: str) -> None:
        """Draw the confusion matrix of all processes."""
        if task.num_classes is None:
            return
        names = task.display_names
        counts = _of_metric(next(iter(task.metrics.values()), None))
        if counts is None:
            counts = self._counts
            if counts is None:
                counts = torch.zeros(task.num_classes, task.num_classes, dtype=torch.int64, device=task.device)
            counts = trainer.strategy.reduce(counts, reduce_op="sum")
        if len(counts) > len(names):
            names = [*names, "background"]
        if not counts.sum() or not self.shows(trainer):
            return
        counts = counts.cpu()
        picture = draw_confusion(counts, names, name.replace("_", " "))
        self.show(f"{stage}/confusion", name, picture, lambda: _chart(counts, names, stage))


def _of_metric(metric: Any) -> Tensor | None:
    """Take the counts from a metric that has them anyway."""
    if isinstance(metric, ConfusionMatrix):
        with metric.sync_context():
            return metric.counts.clone()
    if isinstance(metric, CocoAveragePrecision):
        fill_empty_states([metric])
        with metric.sync_context():
            return count_confusion(metric.records(), metric.num_classes)
    return None


def _chart(counts: Tensor, names: list[str], stage: str) -> Any:
    """Create the chart of ``wandb.plot.confusion_matrix``, which itself accepts only single samples."""
    if len(names) > _MOST_CLASSES:
        return None
    import wandb

    rows = [
        [actual, predicted, int(counts[row, column])]
        for row, actual in enumerate(names)
        for column, predicted in enumerate(names)
    ]
    table = wandb.Table(columns=["Actual", "Predicted", "nPredictions"], data=rows)
    fields: dict[str, Any] = {str(name): name for name in table.columns}
    return wandb.plot_table("wandb/confusion_matrix/v1", table, fields, {"title": f"{stage}: confusion matrix"})
