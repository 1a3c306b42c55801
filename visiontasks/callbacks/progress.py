"""The progress of a training on the screen: a bar that tells when all of it will be done, and a line for each epoch."""

import math
import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, Timer, TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.trainer.states import TrainerFn

from visiontasks.callbacks.best_checkpoint import BestCheckpoint
from visiontasks.callbacks.time_left import TimeLeft, duration

_REFRESHED = 0.1
"""Seconds between two drawings of a bar."""
_NOTED = 60.0
"""Seconds between two lines about an epoch where there is no bar."""


class RunProgress(TQDMProgressBar):
    """Shows what Lightning's bar shows of an epoch, the time that is left in all, and a line for each finished epoch.

    A line has the values that are logged with ``prog_bar=True``, those of a validation only in the epoch that it is
    made in, and tells whether the epoch is the best so far. Where the output is not a terminal there are lines and no
    bars, one a minute within a long epoch. Epochs are counted from 0, as in the names of files; the time left of a
    training that may be stopped early is the longest.

    Args:
        refresh_rate: Number of batches after which a bar may be drawn, which is done ten times a second at most; 0 for
            neither bars nor lines.
    """

    def __init__(self, refresh_rate: int = 1) -> None:
        super().__init__(refresh_rate)
        self._left = TimeLeft()
        self._epoch: int | None = None
        self._validated = False
        self._began = self._drawn = self._noted = time.monotonic()

    @property
    def is_enabled(self) -> bool:
        """Whether there are bars."""
        return super().is_enabled and sys.stdout.isatty()

    def init_train_tqdm(self) -> Tqdm:
        """Create the bar of an epoch, which leaves the place to the lines in the end."""
        bar = super().init_train_tqdm()
        bar.leave = False
        return bar

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return what the bar of an epoch shows: the values of its batches; those of epochs have their lines."""
        shown = super().get_metrics(trainer, pl_module)
        return {
            name.removeprefix("train/").removesuffix("_step"): value
            for name, value in shown.items()
            if name.endswith("_step") or not (name == "v_num" or name.startswith(("train/", "val/")))
        }

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to measure."""
        super().on_train_start(trainer, pl_module)
        self._left, self._epoch = TimeLeft(trainer.check_val_every_n_epoch or 1), None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the line of the epoch before, whose values are all known by now."""
        self._left.begin_epoch()
        self._write_epoch(trainer)
        self._epoch, self._began, self._validated = trainer.current_epoch, time.monotonic(), False
        super().on_train_epoch_start(trainer, pl_module)
        self.train_progress_bar.set_description_str(self._describe(trainer, 0))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Begin the epoch in whose midst a training goes on, which Lightning does not tell."""
        if self._epoch is None:
            self.on_train_epoch_start(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the epoch at whose end a training goes on."""
        super().on_validation_start(trainer, pl_module)
        if self._epoch is None and trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self.on_train_epoch_start(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Show how far the epoch is, and how long all of it will take."""
        self._left.end_batch()
        batches = trainer.num_training_batches
        if self._should_update(batch_idx + 1, int(min(batches, sys.maxsize))):
            self.train_progress_bar.set_description_str(self._describe(trainer, batch_idx + 1), refresh=False)
            # Drawn once, and not for the values again.
            self.train_progress_bar.set_postfix(self.get_metrics(trainer, pl_module), refresh=False)
            self.train_progress_bar.n = batch_idx + 1
            self.train_progress_bar.refresh()
        self._note(f"{self._describe(trainer, batch_idx + 1)}: batch {_of(batch_idx + 1, batches)}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the line of the last epoch."""
        super().on_train_end(trainer, pl_module)
        self._write_epoch(trainer)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Show how far a validation is."""
        super().on_validation_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)
        self._note(f"Validation: batch {_of(batch_idx + 1, self.total_val_batches_current_dataloader)}")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that the epoch has values of a validation."""
        super().on_validation_end(trainer, pl_module)
        self._validated = True

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Show how far a test is."""
        super().on_test_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)
        self._note(f"Test: batch {_of(batch_idx + 1, self.total_test_batches_current_dataloader)}")

    def _should_update(self, current: int, total: int) -> bool:
        now = time.monotonic()
        if current < total and now - self._drawn < _REFRESHED:
            return False
        due: bool = super()._should_update(current, total)
        self._drawn = now if due else self._drawn
        return due

    def _describe(self, trainer: Trainer, done: int) -> str:
        """Name the epoch, and the time left when some of its batches are done."""
        epochs: Any = trainer.max_epochs
        name = f"Epoch {self._epoch}" + (f"/{epochs - 1}" if epochs and epochs > 0 else "")
        seconds = seconds_left(trainer, self._left, done)
        if seconds is None:
            return name
        stoppers = [callback for callback in _callbacks(trainer) if isinstance(callback, EarlyStopping)]
        return f"{name}, {'up to ' if stoppers else ''}{duration(seconds)} left in all"

    def _write_epoch(self, trainer: Trainer) -> None:
        epoch = self._epoch
        if epoch is None or trainer.state.fn != TrainerFn.FITTING:
            return
        # Those of training, which come last, belong before those of validation.
        shown = dict(sorted(trainer.progress_bar_metrics.items(), key=lambda item: not item[0].startswith("train/")))
        values = [
            f"{name} {value:.4f}"
            for name, value in shown.items()
            if not name.endswith("_step") and (self._validated or not name.startswith("val/"))
        ]
        best = trainer.checkpoint_callback
        if isinstance(best, BestCheckpoint) and best.epoch == epoch:
            values.append("best")
        values.append(duration(time.monotonic() - self._began))
        self._say(f"Epoch {epoch}: {', '.join(values)}")
        self._epoch = None

    def _note(self, text: str) -> None:
        """Write a line where there is no bar, if it is time."""
        if not self.trainer.sanity_checking and not self.is_enabled and time.monotonic() - self._noted >= _NOTED:
            self._say(text)

    def _say(self, text: str) -> None:
        if not super().is_enabled:
            return
        self._noted = time.monotonic()
        if self.is_enabled:
            Tqdm.write(text, file=sys.stdout)
        else:
            print(text, flush=True)


def seconds_left(trainer: Trainer, left: TimeLeft, done: int) -> float | None:
    """Estimate the time until a training ends by its number of epochs, of steps, or its time.

    Args:
        trainer: The Trainer, within an epoch or at its begin.
        left: What was measured.
        done: Number of batches of the epoch that are done.

    Returns:
        The seconds; None if nothing says when it ends, or too little was measured.
    """
    batches, epochs = float(trainer.num_training_batches), trainer.max_epochs
    after = math.inf if epochs in (None, -1) else max(0, epochs - trainer.current_epoch - 1)
    in_all = batches - done + (after * batches if after else 0)
    if trainer.max_steps > -1:
        in_all = min(in_all, (trainer.max_steps - trainer.global_step) * trainer.accumulate_grad_batches)
    in_epoch = min(in_all, batches - done)
    timers = [callback.time_remaining() for callback in _callbacks(trainer) if isinstance(callback, Timer)]
    limits = [seconds for seconds in timers if seconds is not None]
    if math.isfinite(in_all):
        later = (in_all - in_epoch) / batches if math.isfinite(batches) else 0.0
        in_validation = sum(trainer.num_val_batches) / (trainer.check_val_every_n_epoch or 1)
        estimate = left.seconds(in_epoch, later, batches=batches, validated=in_validation)
        limits += [] if estimate is None else [estimate]
    return max(0.0, min(limits)) if limits else None


def _of(done: int, total: float) -> str:
    return f"{done} of {total:.0f}" if math.isfinite(total) else f"{done}"


def _callbacks(trainer: Trainer) -> list[Any]:
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight
    return callbacks
