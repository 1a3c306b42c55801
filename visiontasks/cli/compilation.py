"""The flag that compiles the network."""

import torch
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from visiontasks.tasks.compilation import compile_regions
from visiontasks.tasks.task import Task


def add_compile_flag(parser: LightningArgumentParser) -> None:
    """Add the flag that compiles the network."""
    help_text = "Whether backbone, neck, decoder and heads are compiled (torch.compile), each by itself."
    parser.add_argument("--compile", type=bool, default=False, help=help_text)


def prepare_network(task: Task, *, compiled: bool) -> None:
    """Bring a network to the memory layout of fast convolutions, and compile it if requested.

    Args:
        task: The task; changed in place.
        compiled: Whether it is compiled, see :func:`~visiontasks.tasks.compilation.compile_regions`.
    """
    task.to(memory_format=torch.channels_last)
    if compiled:
        rank_zero_only(print)(f"Compiled: {', '.join(compile_regions(task))}.")
