"""Defaults and helpers for optimisers and learning rate schedules."""

import math
from collections.abc import Iterable
from functools import partial
from itertools import pairwise
from typing import Any, Literal, get_args

from lightning.pytorch import Trainer
from lightning.pytorch.tuner.lr_finder import _LRCallback
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from visiontasks.errors import ArgumentError, check_choice

NamedSchedule = Literal["cosine", "constant"]

_FOLLOWS = "follows_next_group"


def exempt_from_decay(optimizer: Optimizer) -> None:
    """Move norms and biases to a parameter group without weight decay.

    These are the parameters of at most one dimension. Groups without weight decay, and optimisers that do not support
    it, are left unchanged.

    Args:
        optimizer: The optimiser; changed in place.
    """
    for group in list(optimizer.param_groups):
        if group.get("weight_decay"):
            exempt = [parameter for parameter in group["params"] if parameter.ndim <= 1]
            _set_apart(optimizer, group, exempt, weight_decay=0.0)


def fuse(optimizer: Optimizer) -> None:
    """Make an optimiser use its fused implementation if it has one, and no other was requested.

    It updates all parameters in one call; torch's default loops over them on the CPU, and needs several calls on a GPU
    (``foreach``), where only the fused one can leave out an update by itself. The results are equal up to rounding.

    Args:
        optimizer: The optimiser; changed in place.
    """
    for group in optimizer.param_groups:
        undecided = all(group.get(name, False) is None for name in ("fused", "foreach"))
        special = group.get("capturable") or group.get("differentiable")
        known = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in group["params"])
        if undecided and not special and known:
            group["fused"] = True


def flatten(optimizer: Optimizer) -> None:
    """Let ``LBFGS`` train a network that is channels-last in memory: it reads all gradients as one row.

    Args:
        optimizer: The optimiser; the memory of its parameters is rearranged, and their gradients follow.

    Raises:
        ArgumentError: If there are groups of parameters, which it does not know.
    """
    if len(optimizer.param_groups) > 1:
        message = "LBFGS has one learning rate for all parameters: leave out backbone_lr_factor and layer_decay."
        raise ArgumentError(message)
    for parameter in optimizer.param_groups[0]["params"]:
        parameter.data = parameter.data.contiguous()


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of the first parameter group, and change those of the others by the same factor.

    Args:
        optimizer: The optimiser; changed in place.
        rate: The learning rate, at least 0.
    """
    before = optimizer.param_groups[0]["lr"]
    for group in optimizer.param_groups:
        group["lr"] = rate * (group["lr"] / before) if before else rate


def scale_rate(optimizer: Optimizer, parameters: Iterable[Tensor], factor: float) -> None:
    """Move parameters to separate groups with a multiple of their learning rate.

    Args:
        optimizer: The optimiser; changed in place.
        parameters: The parameters; those that the optimiser does not hold are ignored.
        factor: The multiple, at least 0.
    """
    chosen = {id(parameter) for parameter in parameters}
    for group in list(optimizer.param_groups):
        scaled = [parameter for parameter in group["params"] if id(parameter) in chosen]
        _set_apart(optimizer, group, scaled, lr=group["lr"] * factor)


def _set_apart(optimizer: Optimizer, group: dict[str, Any], chosen: list[Tensor], **options: float) -> None:
    """Move some parameters of a group to a new group with other options."""
    apart = {id(parameter) for parameter in chosen}
    rest = [parameter for parameter in group["params"] if id(parameter) not in apart]
    if not rest:
        group.update(options)
    elif chosen:
        group["params"] = rest
        optimizer.add_param_group({**group, "params": chosen, **options})


def settle_joined_groups(optimizer: Optimizer, schedulers: Iterable[Any], first: int) -> None:
    """Treat parameter groups that a callback added to an optimiser like the initial ones.

    Norms and biases get a group without weight decay and with the same learning rate; it is placed before the group of
    the other weights, because Lightning's ``BackboneFinetuning`` sets the rate of the last group at the start of an
    epoch. From then on the schedule applies: within an epoch, the learning rate changes by the same factor as that of
    the first group.

    Args:
        optimizer: The optimiser; changed in place.
        schedulers: Its schedules; changed in place.
        first: Index of the first added group.
    """
    settled: list[dict[str, Any]] = []
    for group in optimizer.param_groups[first:]:
        exempt = [parameter for parameter in group["params"] if parameter.ndim <= 1]
        if group.get("weight_decay") and len(exempt) == len(group["params"]):
            group["weight_decay"] = 0.0
        elif group.get("weight_decay") and exempt:
            group["params"] = [parameter for parameter in group["params"] if parameter.ndim > 1]
            settled.append({**group, "params": exempt, "weight_decay": 0.0, _FOLLOWS: True})
        settled.append(group)
    for group, following in pairwise(settled):
        if _FOLLOWS in group:
            group["lr"] = following["lr"]
    optimizer.param_groups[first:] = settled
    fuse(optimizer)
    leader = optimizer.param_groups[0]
    factor = leader["lr"] / leader["initial_lr"] if leader.get("initial_lr") else 1.0
    for group in settled:
        group["initial_lr"] = group["lr"] / factor if factor else group["lr"]
    for scheduler in schedulers:
        # ReduceLROnPlateau has none, and handles new groups itself.
        if hasattr(scheduler, "base_lrs"):
            scheduler.base_lrs[first:] = [group["initial_lr"] for group in settled]
        if hasattr(scheduler, "lr_lambdas"):
            scheduler.lr_lambdas[first:] = [scheduler.lr_lambdas[0]] * len(settled)


def warmup_factor(step: int, *, warmup_steps: int, total_steps: int, schedule: NamedSchedule) -> float:
    """Compute the learning rate factor at a step: a linear warm-up, then half a cosine to zero, or a constant.

    Args:
        step: Number of optimiser steps done.
        warmup_steps: Number of steps of the warm-up.
        total_steps: Number of steps of the whole training.
        schedule: ``"cosine"`` (Loshchilov and Hutter 2017, SGDR, equation 5 without restarts) or ``"constant"``.

    Returns:
        A factor, 0 to 1.

    Example:
        >>> [round(warmup_factor(s, warmup_steps=2, total_steps=6, schedule="cosine"), 2) for s in range(7)]
        [0.5, 1.0, 1.0, 0.85, 0.5, 0.15, 0.0]
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule == "constant":
        return 1.0
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return (1 + math.cos(math.pi * min(1.0, progress))) / 2


def resume_rates(scheduler: Any) -> None:  # noqa: ANN401 (a scheduler of any kind)
    """Set the learning rates to those of a named schedule at its current step.

    A checkpoint restores the rates of the training that wrote it, which may have had another number of steps.
    """
    if isinstance(scheduler, LambdaLR):
        groups = scheduler.optimizer.param_groups
        for group, base, factor in zip(groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True):
            group["lr"] = base * factor(scheduler.last_epoch)


SET_AN_END = (
    "set max_epochs or max_steps of the trainer; for a loader without a length, max_steps or limit_train_batches"
)


def training_steps(trainer: Trainer) -> float:
    """Count the optimiser steps of a whole training; infinite if its end is unknown."""
    steps = trainer.estimated_stepping_batches
    # Lightning returns -1 for a loader without a length if max_steps is not set.
    return steps if steps >= 0 else math.inf


def named_schedule(optimizer: Optimizer, schedule: NamedSchedule, warmup: float, total_steps: float) -> LRScheduler:
    """Create a schedule by name that is stepped at every optimiser step.

    Args:
        optimizer: The optimiser.
        schedule: ``"cosine"`` or ``"constant"``, both after a linear warm-up.
        warmup: Share of all steps that the warm-up takes, 0 to 1.
        total_steps: Number of steps of the whole training; infinite if it has no end.

    Returns:
        The scheduler, to be stepped after every optimiser step.

    Raises:
        ArgumentError: If the schedule is unknown, or needs an end of the training and there is none.
    """
    check_choice("lr_scheduler", schedule, get_args(NamedSchedule))
    if math.isinf(total_steps):
        if schedule == "cosine" or warmup:
            message = f"Warm-up and the cosine schedule need to know the end: {SET_AN_END}."
            raise ArgumentError(message)
        total_steps = 0
    steps = int(total_steps)
    factor = partial(warmup_factor, warmup_steps=round(warmup * steps), total_steps=steps, schedule=schedule)
    return LambdaLR(optimizer, factor)


def ends_search(trainer: Trainer) -> bool:
    """End a search for a learning rate by ``Tuner.lr_find``, which restores the weights; return whether one is running.

    Args:
        trainer: The Trainer.
    """
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight
    searching = any(isinstance(callback, _LRCallback) for callback in callbacks)
    trainer.should_stop |= searching
    return searching


def schedulers_of(trainer: Trainer, optimizer: Optimizer) -> list[Any]:
    """List the schedules of an optimiser."""
    schedulers: list[Any] = [config.scheduler for config in trainer.lr_scheduler_configs]
    return [scheduler for scheduler in schedulers if scheduler.optimizer is optimizer]
