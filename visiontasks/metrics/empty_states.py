"""Metrics on processes without images."""

from collections.abc import Iterable

import torch
from torch import distributed
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


def fill_empty_states(metrics: Iterable[Metric]) -> None:
    """Give the empty lists of predictions of a metric the dtype and shape of those on other processes.

    Some metrics, such as the area under the ROC curve, store all predictions and concatenate those of all processes.
    For a process without images, torchmetrics substitutes an empty vector of floats; if the others hold matrices or
    integers, the processes then exchange messages of different sizes, and crash or deadlock.

    Call this on every process before the metrics are computed. With a single process it does nothing.

    Args:
        metrics: The metrics, the same on every process; changed in place.
    """
    kept = [
        (metric, getattr(metric, name))
        for metric in metrics
        for name, reduction in metric._reductions.items()
        if reduction is dim_zero_cat and isinstance(getattr(metric, name), list)
    ]
    if not kept or not (distributed.is_available() and distributed.is_initialized()):
        return
    local = [(state[0].dtype, tuple(state[0].shape[1:])) if state else None for _, state in kept]
    everyone: list[list[tuple[torch.dtype, tuple[int, ...]] | None]] = [[]] * distributed.get_world_size()
    distributed.all_gather_object(everyone, local)
    for (metric, state), kinds in zip(kept, zip(*everyone, strict=True), strict=True):
        known = next((kind for kind in kinds if kind is not None), None)
        if not state and known is not None:
            dtype, shape = known
            state.append(torch.empty(0, *shape, dtype=dtype, device=metric.device))
