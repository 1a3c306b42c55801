"""How long a training is: chosen by the number of its steps if no length is given, and said at its start."""

import math
from collections.abc import Iterable
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader

ENOUGH_STEPS = 1000
"""Number of steps that the default length comes near to."""
FEWEST_EPOCHS, MOST_EPOCHS = 5, 100
"""Epochs of the default length, however many or few steps they have."""


def default_epochs(steps: float) -> int:
    """Choose the number of epochs of a training whose length is not given.

    Few images make short epochs, of which it takes many until anything is learnt; many images make long ones, of which
    a few are enough. The schedule of the learning rate and its warm-up follow, as shares of all steps.

    Args:
        steps: Number of optimiser steps of an epoch, at least 1; infinite if it is unknown.

    Example:
        >>> [default_epochs(steps) for steps in (3, 40, 938)]  # 48, 640 and 60,000 images
        [100, 25, 5]
    """
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, math.ceil(ENOUGH_STEPS / steps)))


def is_length_given(trainer: Namespace) -> bool:
    """Return whether the configuration of a Trainer says how long a training is, by its number of epochs or steps.

    A time alone does not: the schedule of the learning rate has to know the number of steps.

    Args:
        trainer: The configuration.
    """
    return trainer.max_epochs is not None or trainer.max_steps != -1 or bool(trainer.fast_dev_run)


class Length(Callback):
    """Chooses the length of a training if it is not given, and prints how many epochs and steps it will take.

    Args:
        given: Whether the length is given.
        records: Arguments of the Trainer in which the number of epochs that is chosen is written down.
    """

    def __init__(self, *, given: bool, records: Iterable[Namespace | dict[str, Any]] = ()) -> None:
        self._given, self._records = given, tuple(records)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Choose the number of epochs, when the data are known and before the schedule is created."""
        if stage != "fit" or self._given:
            return
        # A loader of its own: Lightning restores the position of the data module before it asks for another one.
        data: Any = trainer.datamodule  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight
        steps = _steps_of(trainer, _batches_of(trainer, data.train_dataloader()))
        epochs = max(default_epochs(steps), trainer.min_epochs or 0, math.ceil((trainer.min_steps or 0) / steps))
        trainer.fit_loop.max_epochs = epochs
        for record in self._records:
            record["max_epochs"] = epochs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the length."""
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]  # set out of mypy's sight
            rank_zero_info(self._describe(trainer))

    def _describe(self, trainer: Trainer) -> str:
        each, total = _steps_of(trainer, trainer.num_training_batches), trainer.estimated_stepping_batches
        timers: list[Any] = [one for one in trainer.callbacks if isinstance(one, Timer)]  # type: ignore[attr-defined]
        limit = ", unless its time is over before" if any(one.time_remaining() is not None for one in timers) else ""
        if trainer.max_epochs in (None, -1):
            text = f"Length: {total:.0f} steps (batches)" if 0 <= total < math.inf else "Length: until it is stopped"
            passes = f" An epoch, a pass over the training images, has {each:.0f} steps." if each < math.inf else ""
            return f"{text}{limit}.{passes}"
        text = (
            f"Length: {counted(trainer.max_epochs, 'epoch')} (passes over the training images), "
            f"{counted(each, 'step')} (batches) each, {counted(total, 'step')} in all{limit}."
        )
        if self._given:
            return text
        return (
            f"{text} No length was given: by default it is near {ENOUGH_STEPS} steps, but at least {FEWEST_EPOCHS} and "
            f"at most {MOST_EPOCHS} epochs; --trainer.max_epochs changes it."
        )


def counted(number: float | None, what: str) -> str:
    """Write a number of things, such as ``"1 epoch"`` or ``"2 epochs"``."""
    return f"{number:.0f} {what}{'' if number == 1 else 's'}"


def _batches_of(trainer: Trainer, loader: Any) -> float:  # noqa: ANN401 (whatever a data module returns)
    """Count the batches of an epoch as Lightning will; infinite if they cannot be counted."""
    limit = trainer.limit_train_batches
    try:
        count = len(loader) if isinstance(loader, DataLoader) else math.inf
    except TypeError:  # of a stream
        count = math.inf
    if isinstance(limit, int):
        return min(count, limit)
    return count if limit == 1 or count == math.inf else int(count * limit)


def _steps_of(trainer: Trainer, batches: float) -> float:
    """Count the optimiser steps of an epoch; infinite if its batches cannot be counted."""
    steps = batches / trainer.accumulate_grad_batches
    return steps if math.isinf(steps) else max(1, math.ceil(steps))
