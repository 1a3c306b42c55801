"""A training of two processes in which one fails, to be started as a user would.

Usage: ``python failing_script.py RANK HOW WHEN ARGUMENTS...``. Process RANK sleeps for ever (``sleep``), is killed
(``die``) or raises (``raise``) at the second step of a training (``train``) or in the first validation (``val``); the
rest are flags of ``visiontasks fit``.
"""

import os
import signal
import sys
import time
from typing import Any

from visiontasks import ClassificationBatch, ClassificationTask, ShapesDataModule
from visiontasks.cli.training import run_recipe


class Failing(ClassificationTask):
    """One of its processes fails."""

    def losses(self, outputs: Any, batch: ClassificationBatch) -> dict[str, Any]:  # noqa: ANN401 - as in the base
        rank, how, when = sys.argv[1:4]
        now = "train" if self.training else "val"
        if self.global_rank == int(rank) and now == when and self.global_step > 0:
            print(f"{how} at {time.time()}", flush=True)
            if how == "sleep":
                time.sleep(10_000)
            elif how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyError(how)
        return super().losses(outputs, batch)


if __name__ == "__main__":
    defaults = {
        "trainer.devices": 2,
        "trainer.accelerator": "cpu",
        "trainer.strategy": "ddp",
        "trainer.precision": "32-true",
        "trainer.num_sanity_val_steps": 0,
        "trainer.enable_progress_bar": False,
        "model.backbone_options": {"filters": [4], "depth": 1},
        "data.train_size": 16,
        "data.val_size": 8,
        "data.image_size": [16, 16],
        "data.batch_size": 2,
    }
    run_recipe("failing", Failing, ShapesDataModule, defaults, sys.argv[4:])
