"""The images with the worst predictions."""

from collections.abc import Sequence
from typing import Any

import torch.distributed as dist
from lightning.pytorch import Trainer
from torch import Tensor

from visiontasks.callbacks.evaluation_files import KEPT, Keep
from visiontasks.callbacks.kinds import caption, kind_of
from visiontasks.callbacks.pictures import EvaluationPictures
from visiontasks.callbacks.ranking import Ranked, Ranking
from visiontasks.callbacks.wandb_images import wandb_images
from visiontasks.kinds import Kind
from visiontasks.visualization import shelve, to_pillow


class WorstSamples(EvaluationPictures):
    """Shows the images of a validation or test with the worst predictions, the worst first.

    How good a prediction is, is measured as :mod:`visiontasks.metrics.sample_quality` says, and for a task of your own
    by the function ``quality`` of its :class:`~visiontasks.Kind`. The pictures are ``worst/val_epoch_N.png`` and
    ``worst/test.png`` in the run folder; Weights & Biases gets a table.

    Args:
        count: Number of images; 0 for none.
        keep: How many validations of a training keep their pictures, besides the newest and the best; ``"all"`` for
            all of them.
    """

    title = "worst"

    def __init__(self, count: int = 16, keep: Keep = KEPT) -> None:
        super().__init__(keep)
        self.count = count
        self._worst = Ranking(count)

    def begin(self) -> None:
        """Discard the samples of an earlier evaluation."""
        self._worst = Ranking(self.count)

    def look(
        self, trainer: Trainer, task: Any, predictions: Any, batch: Any, index: int, stage: str, name: str
    ) -> None:
        """Keep the worst samples of a batch."""
        if not self.count or not trainer.loggers:
            return
        kind = kind_of(task, predictions, batch)
        if kind.quality is not None and kind.draw is not None:
            values = kind.quality(batch, predictions)[1].tolist()
            self._worst.offer(values, values, predictions, batch)

    def finish(self, trainer: Trainer, task: Any, stage: str, name: str) -> None:
        """Draw the worst samples of all processes."""
        worst, self._worst = self._worst.kept, Ranking(self.count)
        if trainer.world_size > 1:
            parts: list[list[Ranked]] = [[] for _ in range(trainer.world_size)]
            dist.all_gather_object(parts, worst)
            worst = sorted((sample for part in parts for sample in part), key=lambda sample: sample[:2])[: self.count]
        if not worst or not self.shows(trainer):
            return
        names, kind = task.display_names, kind_of(task, worst[0].predictions, worst[0].batch)
        assert kind.draw is not None
        pictures = [kind.draw(sample.batch, sample.predictions, names) for sample in worst]
        self.show(f"{stage}/worst", name, shelve(pictures), lambda: _table(kind, worst, pictures, names))


def _table(kind: Kind, samples: Sequence[Ranked], pictures: Sequence[Tensor], names: Sequence[str]) -> Any:
    import wandb

    rows: list[dict[str, Any]] = []
    for sample, picture in zip(samples, pictures, strict=True):
        (image,) = wandb_images(kind, sample.batch, sample.predictions, names) or [wandb.Image(to_pillow(picture))]
        text = caption(kind, sample.batch, sample.predictions, names)
        values = {"predicted": text} if kind.row is None else kind.row(sample.predictions, names)
        rows.append({"image": image, "number": sample.order[0], "quality": sample.quality, **values})
    return wandb.Table(columns=list(rows[0]), data=[list(row.values()) for row in rows])
