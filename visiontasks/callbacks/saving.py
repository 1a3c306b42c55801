"""The two checkpoints of a run: the best one, and the last one, from which it goes on."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torchmetrics import Metric

from visiontasks.callbacks.best_checkpoint import BestCheckpoint, checkpoint_folder
from visiontasks.callbacks.partial_metrics import gather_states, set_states
from visiontasks.callbacks.position import (
    correct_loops,
    finish_epoch,
    may_pause,
    pending_row,
    position_of,
)
from visiontasks.callbacks.run_logger import METRICS_FILE, RunLogger
from visiontasks.callbacks.stopping import StopSignals, signal_name
from visiontasks.errors import ArgumentError, CheckpointError

MOST_WRITTEN = 5_000_000
"""Bytes a second that saving at the ends of short epochs writes on the average."""


def checkpoints(task: Any, minutes: float = 10.0) -> list[Checkpoint]:
    """Create the callbacks that save the checkpoints of a run, as on the command line.

    Args:
        task: The task, whose ``monitor`` tells which checkpoint is the best.
        minutes: See :class:`LastCheckpoint`.

    Example:
        >>> from visiontasks import ClassificationTask
        >>> [type(callback).__name__ for callback in checkpoints(ClassificationTask(num_classes=2))]
        ['BestCheckpoint', 'LastCheckpoint']
    """
    return [BestCheckpoint(task.monitor, task.monitor_mode), LastCheckpoint(minutes)]


class LastCheckpoint(Checkpoint):
    """Saves ``checkpoints/last.ckpt``: after every epoch, every few minutes, at a signal, and at the end.

    After short epochs a large checkpoint is not saved each time, but at most once in a second for each 5 MB of it.

    SIGTERM, SIGINT (Ctrl-C) and SIGUSR1 to any process let all of them save one checkpoint after the present step, or
    within a validation, and exit with 143, 130 and 138; a second signal ends a process at once. Under SLURM the job is
    requeued at SIGUSR1. A training that is resumed from the checkpoint ends like an undisturbed one: with the same
    weights, schedules and rows in ``metrics.csv``.

    Args:
        minutes: How often a checkpoint is saved within an epoch; at least 0.
        command: The command that goes on, for the message after a signal; by default it names the file alone.

    Raises:
        ArgumentError: If ``minutes`` is negative.
    """

    def __init__(self, minutes: float = 10.0, command: str | None = None) -> None:
        if minutes < 0:
            message = f"minutes is {minutes}; expected at least 0."
            raise ArgumentError(message)
        self.minutes = minutes
        self.command = command
        self.file: Path | None = None
        self._signals = StopSignals()
        self._saved = time.monotonic()
        self._rest = 0.0
        self._in_validation = False
        self._validated_together = 0.0
        self._resumed: dict[str, Any] = {}

    @property
    def state_key(self) -> str:
        """Key of its state in checkpoints, that of subclasses as well."""
        return LastCheckpoint.__qualname__

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Choose the file; all processes have to ask the Trainer for the folder."""
        if stage == "fit":
            trial = trainer.fast_dev_run  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight
            self.file = None if trial else checkpoint_folder(trainer) / "last.ckpt"

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the training; it is added when a checkpoint is saved, because it needs the Trainer."""
        return {}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the position in the training, and what Lightning does not restore."""
        if trainer.state.fn != TrainerFn.FITTING or not trainer._active_loop:
            return
        position = position_of(trainer, self._in_validation)
        metrics = [] if position in ("epoch", "between") else _train_metrics(pl_module)
        correct_loops(checkpoint["loops"], position)
        checkpoint["callbacks"][self.state_key] = {
            "kind": position,
            "rows": next((logger.rows for logger in trainer.loggers if isinstance(logger, RunLogger)), 0),
            "pending": pending_row(trainer, position),
            "train_metrics": gather_states(metrics),
            "metrics": {name: value.cpu() for name, value in trainer.callback_metrics.items()},
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Continue the metrics of the run, from the row at which the checkpoint was saved."""
        self._resumed = checkpoint.get("callbacks", {}).get(self.state_key, {})
        if trainer.state.fn != TrainerFn.FITTING or not self._resumed:
            return
        assert trainer.ckpt_path is not None
        source = Path(trainer.ckpt_path).parent.parent / METRICS_FILE
        pending = self._resumed["pending"]
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.go_on(source, self._resumed["rows"], None if pending is None else tuple(pending))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare where the processes go on: machines that share no disk, or a slow one, may see different files.

        Raises:
            CheckpointError: If this process would go on from another step than the first one.
        """
        step = trainer._checkpoint_connector._loaded_checkpoint.get("global_step", 0)
        first = trainer.strategy.broadcast(step)
        if step != first:
            message = (
                f"Process {trainer.global_rank} of {trainer.world_size} would train on from step {step}, process 0 "
                f"from step {first}: they see different checkpoints. The run folder has to be on a disk that all "
                "machines share."
            )
            raise CheckpointError(message)

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Handle signals before workers are started, which have the same handlers."""
        if self.file is not None:
            self._signals.install(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Handle signals, and restore what Lightning does not."""
        if self.file is None:
            return
        self._signals.install(trainer)
        self._signals.connect()
        self._signals.begin()
        self._saved = time.monotonic()
        if not trainer.ckpt_path or not self._resumed:
            return
        trainer._logger_connector._callback_metrics.update(self._resumed["metrics"])
        if self._resumed["kind"] in ("epoch", "between"):
            finish_epoch(trainer, self._resumed["kind"])
        elif trainer.is_global_zero:
            set_states(_train_metrics(pl_module), self._resumed["train_metrics"])

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the steps of training, on all processes."""
        self._signals.begin()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save a checkpoint if it is time, and stop at a signal."""
        if self.file is None:
            return
        signum, due = self._signals.agreed(self._due())
        if (signum or due) and may_pause(trainer):
            self._save(trainer)
            self._stop_at(signum)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the steps of validation, on all processes."""
        if self.file is not None and trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._signals.begin()
            # A user's loaders may have a different number of batches on each process.
            self._validated_together = self._signals.fewest(sum(trainer.num_val_batches))

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop at a signal; the validation is repeated when training goes on."""
        if self.file is None or trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        seen = trainer.fit_loop.epoch_loop.val_loop.batch_progress.current.ready
        if seen >= self._validated_together:
            return
        signum, _ = self._signals.agreed()
        if signum:
            self._in_validation = True
            self._save(trainer)
            self._stop_at(signum)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save a checkpoint, also of a training that ends within an epoch, and stop at a signal."""
        if self.file is None:
            return
        # Lightning skips the step of ReduceLROnPlateau in an epoch into which a training was resumed.
        trainer.fit_loop._restarting = False
        rested = time.monotonic() - self._saved >= self._rest
        signum, due = self._signals.agreed(rested or _ends(trainer), now=True)
        if signum or due:
            self._save(trainer)
            self._stop_at(self._signals.agreed(now=True)[0])

    def _due(self) -> bool:
        return time.monotonic() - self._saved >= 60 * self.minutes

    def _save(self, trainer: Trainer) -> None:
        assert self.file is not None
        trainer.save_checkpoint(self.file, weights_only=False)
        self._saved = time.monotonic()
        self._rest = self.file.stat().st_size / MOST_WRITTEN if self.file.exists() else 0.0

    def _stop_at(self, signum: int) -> None:
        if not signum:
            return
        how = f"with: {self.command}" if self.command else f"from it: Trainer.fit(..., ckpt_path={str(self.file)!r})"
        rank_zero_only(print)(
            f"\nStopped by {signal_name(signum)}; the checkpoint is {self.file}. Go on {how}", flush=True
        )
        raise self._signals.end(signum)


def _ends(trainer: Trainer) -> bool:
    """Whether the epoch that ends is the last one."""
    epochs, steps = trainer.max_epochs, trainer.max_steps
    last = epochs is not None and epochs >= 0 and trainer.current_epoch + 1 >= epochs
    return trainer.should_stop or last or 0 <= steps <= trainer.global_step


def _train_metrics(module: Any) -> list[Metric]:
    return module.scores.of_training() if hasattr(module, "scores") else []
