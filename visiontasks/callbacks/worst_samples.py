"""The images with the worst predictions."""

from collections.abc import Sequence
from typing import Any

import torch.distributed as dist
from lightning.pytorch import Trainer

from visiontasks.callbacks.evaluation_files import KEPT, Keep
from visiontasks.callbacks.pictures import EvaluationPictures
from visiontasks.callbacks.prediction_images import draw
from visiontasks.callbacks.ranking import Ranked, Ranking
from visiontasks.callbacks.samples import caption
from visiontasks.callbacks.wandb_images import wandb_images
from visiontasks.metrics.sample_quality import sample_quality
from visiontasks.visualization import shelve


class WorstSamples(EvaluationPictures):
    """Shows the images of a validation or test with the worst predictions, the worst first.

    The quality of predictions is measured by :func:`~visiontasks.metrics.sample_quality.sample_quality`. The pictures
    are ``worst/val_epoch_N.png`` and ``worst/test.png`` in the run folder; Weights & Biases gets a table.

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
        judged = sample_quality(predictions, batch)
        if judged is not None:
            values = judged.values.tolist()
            self._worst.offer(values, values, predictions, batch)

    def finish(self, trainer: Trainer, task: Any, stage: str, name: str) -> None:
        """Draw the worst samples of all processes."""
        found, self._worst = self._worst.kept, Ranking(self.count)
        if trainer.world_size > 1:
            parts: list[list[Ranked]] = [[] for _ in range(trainer.world_size)]
            dist.all_gather_object(parts, found)
            found = [sample for part in parts for sample in part]
        found = sorted(found, key=lambda sample: sample[:2])[: self.count]
        if not found or not self.shows(trainer):
            return
        names = task.display_names
        drawn = [draw(sample.batch, sample.predictions, names) for sample in found]
        pictures = [picture for picture in drawn if picture is not None]
        if not pictures:
            return
        self.show(f"{stage}/worst", name, shelve(pictures), lambda: _table(found, names))


def _table(samples: Sequence[Ranked], names: Sequence[str]) -> Any:
    import wandb

    table = wandb.Table(columns=["image", "number", "quality", "predicted"])
    for sample in samples:
        images = wandb_images(sample.batch, sample.predictions, names)
        if images is None:
            return None
        table.add_data(images[0], sample.order[0], sample.quality, caption(sample.predictions, sample.batch, names))
    return table
