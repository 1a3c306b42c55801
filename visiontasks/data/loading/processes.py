"""The number of usable processes, and work that one process does for all."""

import os
from collections.abc import Callable
from typing import TypeVar

from torch import distributed

from visiontasks.errors import VisiontasksError

ResultT = TypeVar("ResultT")


def usable_cores(most: int) -> int:
    """Count the cores that this process may use, if the system tells; at most ``most``."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(most, usable)


def on_first_process(compute: Callable[[], ResultT]) -> ResultT:
    """Compute on the first process and send the result to the others, which wait.

    Args:
        compute: Makes a result that can be pickled.

    Raises:
        VisiontasksError: On every process, if the first one has raised it.
    """
    running = distributed.is_available() and distributed.is_initialized()
    outcome: list[ResultT | VisiontasksError | None] = [None]
    if not running or distributed.get_rank() == 0:
        try:
            outcome[0] = compute()
        except VisiontasksError as error:
            outcome[0] = error
    if running:
        distributed.broadcast_object_list(outcome, src=0)
    result = outcome[0]
    if isinstance(result, VisiontasksError):
        raise result
    assert result is not None
    return result
