"""Metrics of an epoch that is interrupted: their states, gathered from all processes."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, distributed
from torchmetrics import Metric


def gather_states(metrics: Iterable[Metric]) -> list[dict[str, Any]]:
    """Copy the states of metrics; all processes have to call it, and get what all of them have seen.

    Args:
        metrics: The metrics; one that was never updated on any process has no state.
    """
    several = distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
    states = []
    for metric in metrics:
        with metric.sync_context(should_sync=several):
            names = metric._defaults if several or metric.update_called else ()
            states.append({name: _copy(getattr(metric, name)) for name in names})
    return states


def set_states(metrics: Iterable[Metric], states: list[dict[str, Any]]) -> None:
    """Let metrics go on from states; on one process only, because it has those of all.

    Args:
        metrics: The metrics, in the order in which they were gathered.
        states: What :func:`gather_states` returned.
    """
    # Checkpoints made by earlier releases end before the mean losses.
    for metric, state in zip(metrics, states, strict=False):
        for name, value in state.items():
            if name not in metric._defaults:
                # A mean loss gets to know its terms by the first batch.
                assert isinstance(value, Tensor)
                metric.add_state(name, torch.zeros_like(value, device=metric.device), "sum")
            setattr(metric, name, _copy(value, metric.device))
        metric._update_count = int(bool(state))


def _copy(value: Tensor | list[Tensor], device: torch.device | str = "cpu") -> Tensor | list[Tensor]:
    if isinstance(value, Tensor):
        return value.detach().to(device, copy=True)
    return [part.detach().to(device, copy=True) for part in value]
