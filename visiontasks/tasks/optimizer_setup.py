"""How a task sets up its optimiser and its learning rate schedule."""

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import nn
from torch.optim import LBFGS, Optimizer, SparseAdam
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from visiontasks.errors import ArgumentError
from visiontasks.tasks.layer_decay import decay_by_layer
from visiontasks.tasks.optimization import (
    NamedSchedule,
    exempt_from_decay,
    flatten,
    fuse,
    named_schedule,
    scale_rate,
    set_rate,
    training_steps,
)
from visiontasks.tasks.optimizer_options import describe_optimizer

if TYPE_CHECKING:
    import visiontasks.tasks.task


class OptimizerSetup(NamedTuple):
    """The arguments of a task for its optimiser; see :class:`~visiontasks.tasks.task.Task`.

    Attributes:
        schedule: Name of a schedule, or a function that creates one.
        interval: Interval at which one of a function steps.
        warmup: Share of all training steps in which the rate rises linearly, 0 to 1; None for 0.05 with a named
            schedule, and 0 with another.
        backbone_factor: Learning rate of the backbone, as a multiple of the head's.
        layer_decay: Factor by which it falls from each layer of the backbone to the one before, above 0 and at most 1.
        lr: Learning rate in place of that of the optimiser; of several, the first, and the others in proportion.
    """

    schedule: LRSchedulerCallable | NamedSchedule
    interval: Literal["epoch", "step"]
    warmup: float | None
    backbone_factor: float
    layer_decay: float = 1.0
    lr: float | None = None

    def checked(self) -> Self:
        """Return this, if factor, decay and warm-up are in range.

        Raises:
            ArgumentError: If one is out of range.
        """
        if not 0 <= self.warmup_share <= 1:
            message = f"warmup is {self.warmup}; expected a share of all training steps, 0 to 1."
            raise ArgumentError(message)
        if self.backbone_factor <= 0:
            message = (
                f"backbone_lr_factor is {self.backbone_factor}; expected more than 0. freeze='all' keeps the backbone "
                "as it is."
            )
            raise ArgumentError(message)
        if not 0 < self.layer_decay <= 1:
            message = f"layer_decay is {self.layer_decay}; expected above 0 and at most 1, such as 0.75."
            raise ArgumentError(message)
        return self

    @property
    def warmup_share(self) -> float:
        """Share of all training steps in which the rate rises."""
        return (0.05 if isinstance(self.schedule, str) else 0.0) if self.warmup is None else self.warmup

    def rate(self, create: OptimizerCallable, task: nn.Module) -> float:
        """Return the learning rate of the first parameters, before any schedule; see :meth:`make_optimizer`."""
        rate: float = self._create(create, task).param_groups[0]["lr"]
        return rate

    def make_optimizer(self, create: OptimizerCallable, task: "visiontasks.tasks.task.Task") -> Optimizer:
        """Create the optimiser over the trainable parameters of a task.

        Args:
            create: Function that creates it from parameters.
            task: The task, whose backbone has learning rates of its own.

        Raises:
            ArgumentError: If the optimiser cannot train the task, or its backbone has no layers to tell apart.
        """
        optimizer = self._create(create, task)
        if isinstance(optimizer, SparseAdam):
            message = "SparseAdam takes sparse gradients only, and images have none: use Adam."
            raise ArgumentError(message)
        if self.backbone_factor != 1:
            scale_rate(optimizer, task.backbone.parameters(), self.backbone_factor)
        if self.layer_decay != 1:
            decay_by_layer(optimizer, task.backbone, task.in_channels, self.layer_decay)
        if isinstance(optimizer, LBFGS):
            flatten(optimizer)
        exempt_from_decay(optimizer)
        fuse(optimizer)
        return optimizer

    def describe(self, trainer: Trainer) -> str:
        """Describe what trains: the optimisers with their options, and the schedule.

        Args:
            trainer: The Trainer, when it has created them.
        """
        optimizers = " and ".join(describe_optimizer(optimizer) for optimizer in trainer.optimizers)
        schedulers = [type(config.scheduler).__name__ for config in trainer.lr_scheduler_configs]
        named = isinstance(self.schedule, str) and schedulers == [LambdaLR.__name__]
        schedule = str(self.schedule) if named else " and ".join(schedulers) or "none"
        warmup = f" after a warm-up of {100 * self.warmup_share:g} % of the steps" if self.warmup_share else ""
        schedule += warmup if schedulers else ""
        return f"Training with {optimizers}; schedule of the learning rate (lr): {schedule}."

    def _create(self, create: OptimizerCallable, task: nn.Module) -> Optimizer:
        try:
            optimizer: Optimizer = create([parameter for parameter in task.parameters() if parameter.requires_grad])
        except (TypeError, ValueError) as error:
            message = (
                f"The optimizer refuses its options or the parameters of {type(task).__name__}: {error}. Choose "
                "others, such as AdamW or SGD; several optimizers are set up by overriding configure_optimizers."
            )
            raise ArgumentError(message) from error
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
            scheduler = named_schedule(optimizer, self.schedule, self.warmup_share, training_steps(task.trainer))
            return {"scheduler": scheduler, "interval": "step"}
        rates = [group["lr"] for group in optimizer.param_groups]
        custom = self.schedule(optimizer)
        # A schedule may multiply all learning rates, as a warm-up does, or overwrite them.
        scaled = {
            group.get("initial_lr", group["lr"]) / lr
            for group, lr in zip(optimizer.param_groups, rates, strict=True)
            if lr
        }
        if (self.backbone_factor, self.layer_decay) != (1, 1) and max(scaled) > 1.001 * min(scaled):
            message = (
                f"{type(custom).__name__} gives every parameter the same learning rate, whatever backbone_lr_factor "
                "and layer_decay are. Leave them out, or use a schedule that multiplies the rates of the optimiser, "
                "such as 'cosine'."
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
