"""Pictures of the calibration of a classifier."""

from typing import Any

from lightning.pytorch import Trainer

from visiontasks.callbacks.pictures import EvaluationPictures
from visiontasks.visualization import reliability_diagram


class ReliabilityDiagram(EvaluationPictures):
    """Writes a reliability diagram of a classifier after every validation and test.

    The pictures are ``reliability/val_epoch_N.png`` and ``reliability/test.png`` in the run folder. On the command
    line: ``--trainer.callbacks+=visiontasks.callbacks.ReliabilityDiagram``.

    Args:
        keep: How many validations of a training keep their pictures, besides the newest and the best; ``"all"`` for
            all of them.
    """

    title = "reliability"

    def finish(self, trainer: Trainer, task: Any, stage: str, name: str) -> None:
        """Draw the diagram of the predictions of all processes."""
        metric = task.metrics["calibration_error"]
        with metric.sync_context():
            counts, confidence, accuracy = (values.cpu() for values in metric.reliability())
        if not self.shows(trainer):
            return
        error = (counts * (accuracy - confidence).abs()).nansum() / counts.sum()
        picture = reliability_diagram(counts, confidence, accuracy, f"{stage}: calibration error {error:.4f}")
        self.show(f"{stage}/reliability", name, picture)
