"""Pictures of whether a classifier is as often right as it says."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image

from visiontasks.visualization import reliability_diagram


class ReliabilityDiagram(Callback):
    """Writes a reliability diagram of a classifier after every validation and test.

    The pictures are ``reliability/val_epoch_N.png`` and ``reliability/test.png`` in the run folder. On the command
    line: ``--trainer.callbacks+=visiontasks.callbacks.reliability.ReliabilityDiagram``.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the run folder; asking the Trainer for it is a matter of all processes."""
        self._folder = Path(trainer.log_dir) / "reliability" if trainer.logger and trainer.log_dir else None

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
        if self._folder is None or not trainer.is_global_zero:
            return
        error = (counts * (accuracy - confidence).abs()).nansum() / counts.sum()
        picture = reliability_diagram(counts, confidence, accuracy, f"{stage}: calibration error {error:.4f}")
        self._folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(self._folder / f"{name}.png")
