"""Compilation of a task by regions: backbone, neck, decoder and heads, each a graph of its own."""

from collections.abc import Iterator
from typing import Any

from torch import nn

from visiontasks.errors import ArgumentError
from visiontasks.tasks.task import Task


def compile_regions(task: Task, **options: Any) -> list[str]:  # noqa: ANN401 (those of torch.compile)
    """Compile the parts of a task that have weights, in place; names of weights and checkpoints stay the same.

    What lies between them is left as it is: the proposals and samples of a detector break a graph of the whole step.
    Random numbers, such as those of dropout, are others than without.

    Args:
        task: The task.
        **options: Options of :func:`torch.compile`, such as ``mode="max-autotune"``.

    Returns:
        Names of the parts.

    Raises:
        ArgumentError: If the task computes blocks of its backbone again for their gradients.
    """
    if task.hparams.get("gradient_checkpointing"):
        message = (
            "Compiled blocks are not computed again for their gradients: leave --compile or "
            "--model.gradient_checkpointing out."
        )
        raise ArgumentError(message)
    regions = dict(_regions(task))
    for region in regions.values():
        region.compile(**options)
    return list(regions)


def _regions(task: Task) -> Iterator[tuple[str, nn.Module]]:
    for name, module in task.named_children():
        if module is task.scores or not any(True for _ in module.parameters()):
            continue
        if isinstance(module, nn.ModuleList):
            yield from ((f"{name}.{index}", part) for index, part in enumerate(module))
        else:
            yield name, module
