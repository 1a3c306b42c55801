"""Options of optimisers: as they were given, changed at a resume, and in words."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch.optim import Optimizer


def given_options(optimizer: Optimizer) -> list[dict[str, Any]]:
    """Read the original options of each parameter group, with the learning rate before any schedule.

    Args:
        optimizer: The optimiser.

    Returns:
        Options by name, without the parameters and without ``fused``, which depends on the device.
    """
    return [
        {name: value for name, value in group.items() if name not in ("params", "initial_lr", "fused")}
        | {"lr": group.get("initial_lr", group["lr"])}
        for group in optimizer.param_groups
    ]


def change_options(
    optimizer: Optimizer,
    schedulers: Iterable[Any],
    before: Sequence[Mapping[str, Any]],
    now: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Replace options restored from a checkpoint by newly given ones.

    A learning rate is changed by the same factor for all steps of the schedule. Options given as before are kept.

    Args:
        optimizer: The optimiser, with the state of the checkpoint; changed in place.
        schedulers: Its schedules; changed in place.
        before: Result of :func:`given_options` when the checkpoint's training began.
        now: Its result now.

    Returns:
        Descriptions of the changes, such as ``"lr 0.1 to 0.01"``, without duplicates.
    """
    changes: dict[str, None] = {}
    for index, (group, old, new) in enumerate(zip(optimizer.param_groups, before, now, strict=False)):
        for name in new.keys() & old.keys():
            if new[name] == old[name]:
                continue
            changes[f"{name} {old[name]} to {new[name]}"] = None
            if name != "lr":
                group[name] = new[name]
                continue
            group["lr"] = group["lr"] * new["lr"] / old["lr"] if old["lr"] else new["lr"]
            group["initial_lr"] = new["lr"]
            for scheduler in schedulers:
                if hasattr(scheduler, "base_lrs"):
                    scheduler.base_lrs[index] = new["lr"]
    return sorted(changes)


def describe_optimizer(optimizer: Optimizer) -> str:
    """Name an optimiser, its learning rates, and the options that its class does not have by default.

    Example:
        >>> import torch
        >>> describe_optimizer(torch.optim.SGD([torch.zeros(1)], lr=0.1, momentum=0.9))
        'SGD (lr 0.1, momentum 0.9)'
    """
    groups, usual = given_options(optimizer), inspect.signature(type(optimizer)).parameters
    told = []
    for name in groups[0]:
        values = list(dict.fromkeys(str(group[name]) for group in groups))
        if name == "lr" or (name in usual and values != [str(usual[name].default)]):
            exempt = name == "weight_decay" and len(values) == 2 and "0.0" in values
            values = [f"{values[values[0] == '0.0']} (norms and biases: 0)"] if exempt else values
            told.append(f"{name} {' and '.join(values)}")
    return f"{type(optimizer).__name__} ({', '.join(told)})"
