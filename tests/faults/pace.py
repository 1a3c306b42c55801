"""A callback that slows a training down and notes where it is, so that a test can send a signal there."""

import os
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class Pace(Callback):
    """Notes the phase of each process in a file ``training-RANK`` or ``validation-RANK`` of the working folder.

    Args:
        seconds: How long each batch takes.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = float(os.environ.get("PACE", seconds))

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,  # noqa: ANN401 - as Lightning has it
        batch_idx: int,
    ) -> None:
        self._pause(f"training-{trainer.global_rank}")

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not trainer.sanity_checking:
            self._pause(f"validation-{trainer.global_rank}")

    def _pause(self, name: str) -> None:
        part = Path(f"{name}.part")
        part.write_text(str(os.getpid()))
        part.replace(name)
        time.sleep(self.seconds)
