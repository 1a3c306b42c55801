"""Description of a run in Weights & Biases besides its metrics, and how the run resumes and ends."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_warn


class WandbRun(Callback):
    """Describes a run to Weights & Biases: configuration, class names, fingerprint of the data, the best metric.

    The classes of task and data module are its tags. The run id is saved in checkpoints, where the command line reads
    it, so that resumed training stays one run. The callback does nothing without a ``WandbLogger``. On the command line
    it is always added.

    Args:
        config: The whole configuration in plain types, in addition to the arguments of the task that Lightning logs.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self.config = dict(config or {})
        self._runs: dict[str, str] = {}
        self._described: set[str] = set()

    def state_dict(self) -> dict[str, Any]:
        """Return the run id in each project."""
        return dict(self._runs)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Describe the training, after Lightning has logged the arguments of the task."""
        self._describe(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Describe an evaluation."""
        self._describe(trainer, pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Describe an evaluation."""
        self._describe(trainer, pl_module)

    def _describe(self, trainer: Trainer, task: Any) -> None:
        stage = str(trainer.state.fn)
        if stage in self._described or not trainer.is_global_zero:
            return
        self._described.add(stage)
        data: Any = getattr(trainer, "datamodule", None)
        fingerprint = data.fingerprint() if hasattr(data, "fingerprint") else {}
        for logger in trainer.loggers:
            if not isinstance(logger, WandbLogger):
                continue
            run = logger.experiment
            self._runs[str(logger.name)] = run.id
            about = {"class_names": task.class_names, "image_size": task.image_size, "task": type(task).__name__}
            run.config.update({**self.config, **about}, allow_val_change=True)
            tags = [type(part).__name__ for part in (task, data) if part is not None]
            run.tags = tuple(dict.fromkeys((*(run.tags or ()), *tags)))
            if fingerprint:
                run.config.update(
                    {"data_fingerprint": {**run.config.get("data_fingerprint", {}), **fingerprint}},
                    allow_val_change=True,
                )
            # The table of runs shows the best value instead of the last.
            run.define_metric(task.monitor, summary=task.monitor_mode, step_metric="trainer/global_step")


def finish_runs(trainer: Trainer, seconds: float = 60.0) -> None:
    """End the runs of Weights & Biases, and wait for a limited time until everything is uploaded.

    The folder of a run that is offline is printed.

    Args:
        trainer: The Trainer of the run.
        seconds: Maximum waiting time; the rest is left in the folder of the run, from which ``wandb sync`` uploads it.
    """
    if not trainer.is_global_zero:
        return
    for logger in trainer.loggers:
        if not isinstance(logger, WandbLogger):
            continue
        run = logger.experiment
        # A daemon thread does not keep the process alive.
        ending = Thread(target=run.finish, daemon=True)
        ending.start()
        ending.join(seconds)
        folder = Path(run.dir).parent
        folder = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
        upload = shlex.join(["wandb", "sync", str(folder)])
        if ending.is_alive():
            rank_zero_warn(
                f"Weights & Biases has not ended its upload within {seconds:g} s; the rest is in {folder}. To upload "
                f"it: {upload}"
            )
        elif run.offline:
            print(f"The run of Weights & Biases is offline, in {folder}. To upload it: {upload}", flush=True)
