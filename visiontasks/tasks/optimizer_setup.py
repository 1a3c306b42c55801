"""How a task sets up its optimiser and its learning rate schedule."""

from typing import Any, Literal, NamedTuple, Self

from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from visiontasks.errors import ArgumentError
from visiontasks.tasks.optimization import (
    NamedSchedule,
    exempt_from_decay,
    fuse,
    named_schedule,
    scale_rate,
    set_rate,
    training_steps,
)


class OptimizerSetup(NamedTuple):
    """The arguments of a task for its optimiser; see :class:`~visiontasks.tasks.task.Task`.

    Attributes:
        schedule: Name of a schedule, or a function that creates one.
        interval: Interval at which one of a function steps.
        warmup: Share of all training steps in which a named one warms up, 0 to 1.
        backbone_factor: Learning rate of the backbone, as a multiple of the head's.
        lr: Learning rate in place of that of the optimiser; of several, the first, and the others in proportion.
    """

    schedule: LRSchedulerCallable | NamedSchedule
    interval: Literal["epoch", "step"]
    warmup: float
    backbone_factor: float
    lr: float | None = None

    def checked(self) -> Self:
        """Return this, if the factor is in range.

        Raises:
            ArgumentError: If it is out of range.
        """
        if self.backbone_factor <= 0:
            message = (
                f"backbone_lr_factor is {self.backbone_factor}; expected more than 0. freeze='all' keeps the backbone "
                "as it is."
            )
            raise ArgumentError(message)
        return self

    def rate(self, create: OptimizerCallable, task: nn.Module) -> float:
        """Return the learning rate of the first parameters, before any schedule; see :meth:`make_optimizer`."""
        rate: float = self._create(create, task).param_groups[0]["lr"]
        return rate

    def make_optimizer(self, create: OptimizerCallable, task: nn.Module, backbone: nn.Module) -> Optimizer:
        """Create the optimiser over the trainable parameters of a task.

        Args:
            create: Function that creates it from parameters.
            task: The task.
            backbone: Its backbone, which has a learning rate of its own.
        """
        optimizer = self._create(create, task)
        if self.backbone_factor != 1:
            scale_rate(optimizer, backbone.parameters(), self.backbone_factor)
        exempt_from_decay(optimizer)
        fuse(optimizer)
        return optimizer

    def _create(self, create: OptimizerCallable, task: nn.Module) -> Optimizer:
        optimizer: Optimizer = create([parameter for parameter in task.parameters() if parameter.requires_grad])
        if self.lr is not None:
            set_rate(optimizer, self.lr)
        return optimizer

    def make_schedule(self, task: LightningModule, optimizer: Optimizer) -> dict[str, Any]:
        """Create the schedule of an optimiser, with what Lightning has to know about it.

        Args:
            task: The task, which needs its Trainer for some schedules.
            optimizer: The optimiser, its groups complete.

        Returns:
            Lightning's ``lr_scheduler``.

        Raises:
            ArgumentError: If the schedule gives the backbone the learning rate of the head, or does not fit the
                interval.
        """
        if isinstance(self.schedule, str):
            scheduler = named_schedule(optimizer, self.schedule, self.warmup, training_steps(task.trainer))
            return {"scheduler": scheduler, "interval": "step"}
        rates = [group["lr"] for group in optimizer.param_groups]
        custom = self.schedule(optimizer)
        # A schedule may multiply all learning rates, as a warm-up does, or overwrite them.
        scaled = {
            group.get("initial_lr", group["lr"]) / lr
            for group, lr in zip(optimizer.param_groups, rates, strict=True)
            if lr
        }
        if self.backbone_factor != 1 and max(scaled) > 1.001 * min(scaled):
            message = (
                f"{type(custom).__name__} gives every parameter the same learning rate, whatever backbone_lr_factor "
                "is. Leave the factor out, or use a schedule that multiplies the rates of the optimiser, such as "
                "'cosine'."
            )
            raise ArgumentError(message)
        config: dict[str, Any] = {"scheduler": custom, "interval": self.interval}
        if isinstance(custom, ReduceLROnPlateau):
            config["monitor"] = getattr(custom, "monitor", "val/loss")
            if self.interval == "step":
                message = "ReduceLROnPlateau looks at a metric of an epoch; lr_interval is 'step', expected 'epoch'."
                raise ArgumentError(message)
            # It is stepped only after epochs with a validation; validations within an epoch may leave its end without
            # one.
            config |= {"frequency": task.trainer.check_val_every_n_epoch or 1, "strict": False}
        return config
