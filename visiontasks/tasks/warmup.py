"""A warm-up beside a schedule that has none."""

import math
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch import LightningModule, Trainer
from torch.optim import Optimizer

from visiontasks.errors import ArgumentError
from visiontasks.tasks.finiteness import scaler_of
from visiontasks.tasks.optimization import SET_AN_END, training_steps
from visiontasks.tasks.owned import OwnedCallback

if TYPE_CHECKING:
    from visiontasks.tasks.task import Task


class WarmUp(OwnedCallback):
    """Lets the first steps be taken at a part of the learning rates, which grows linearly to the whole.

    The rates are lowered for the update itself and are those of the schedule at all other times: it need not know of
    the warm-up, whatever it computes them from, nor does a checkpoint. A named schedule has a warm-up of its own.
    """

    def __init__(self) -> None:
        self._steps, self._factor = 0, 1.0
        self._rates: list[Any] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the steps of the warm-up.

        Raises:
            ArgumentError: If the training has no end.
        """
        setup, self._steps, self._rates = cast("Task", pl_module)._setup, 0, []
        if isinstance(setup.schedule, str) or not setup.warmup_share:
            return
        total = training_steps(trainer)
        if math.isinf(total):
            message = f"Warm-up needs to know the end: {SET_AN_END}."
            raise ArgumentError(message)
        self._steps = round(setup.warmup_share * total)
        for optimizer in trainer.optimizers:
            if scaler_of(trainer) is not None:
                optimizer.register_step_pre_hook(self._lower)
            optimizer.register_step_post_hook(self._restore)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Lower the rates for the update, which follows, unless a scaler leaves it out."""
        if not self._steps:
            return
        self._factor = min(1.0, (trainer.global_step + 1) / self._steps)
        # With one, the step of the optimiser is the update alone; without, it begins with the gradient.
        if scaler_of(trainer) is None:
            self._lower(optimizer)

    def _lower(self, optimizer: Optimizer, args: object = None, kwargs: object = None) -> None:
        if not self._rates:  # LBFGS computes several gradients in a step
            self._rates = [group["lr"] for group in optimizer.param_groups]
            for group in optimizer.param_groups:
                group["lr"] = group["lr"] * self._factor

    def _restore(self, optimizer: Optimizer, args: object, kwargs: object) -> None:
        for group, rate in zip(optimizer.param_groups, self._rates, strict=False):
            group["lr"] = rate
        self._rates, self._factor = [], 1.0
