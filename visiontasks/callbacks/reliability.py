"""Pictures of whether a classifier is as often right as it says."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer

from visiontasks.callbacks.pictures import PictureCallback
from visiontasks.visualization import reliability_diagram


class ReliabilityDiagram(PictureCallback):
    """Writes a reliability diagram of a classifier after every validation and test.

    The pictures are ``reliability/val_epoch_N.png`` and ``reliability/test.png`` in the run folder. On the command
    line: ``--trainer.callbacks+=visiontasks.callbacks.reliability.ReliabilityDiagram``.
    """

    title = "reliability"

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw a validation; the task computes and forgets its metrics after this."""
        if not trainer.sanity_checking:
            self._draw(trainer, pl_module, "val", f"val_epoch_{trainer.current_epoch}")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw a test."""
        self._draw(trainer, pl_module, "test", "test")

    def _draw(self, trainer: Trainer, task: Any, stage: str, name: str) -> None:
        metric = task.metrics["calibration_error"]
        with metric.sync_context():
            counts, confidence, accuracy = (values.cpu() for values in metric.reliability())
        if not self.shows(trainer):
            return
        error = (counts * (accuracy - confidence).abs()).nansum() / counts.sum()
        picture = reliability_diagram(counts, confidence, accuracy, f"{stage}: calibration error {error:.4f}")
        self.show(trainer, f"{stage}/reliability", name, picture)
