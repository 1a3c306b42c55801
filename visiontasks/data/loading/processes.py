"""The number of usable processes, work that is divided among them, and work that one process does for all."""

import multiprocessing
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from torch import distributed

from visiontasks.errors import VisiontasksError

FileT = TypeVar("FileT")
ResultT = TypeVar("ResultT")

_CHUNK = 500
_PARALLEL = 4_000
"""Number of files from which starting several processes pays off."""


def usable_cores(most: int) -> int:
    """Count the cores that this process may use, if the system tells; at most ``most``."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(most, usable)


def map_files(read: Callable[[FileT], ResultT], files: Sequence[FileT]) -> list[ResultT]:
    """Read small files, in parallel processes if there are thousands.

    Args:
        read: Reads one; a function at the top of its module, which uses nothing that a thread may lock.
        files: What to read.
    """
    workers = usable_cores(16)
    context = multiprocessing.get_context()
    # Without fork, a worker would run the user's script again, which may not be written for that.
    if len(files) < _PARALLEL or workers < 2 or context.get_start_method() != "fork":
        return [read(file) for file in files]
    with warnings.catch_warnings():
        # Python 3.12 warns about threads at a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        with ProcessPoolExecutor(workers, context) as pool:
            return list(pool.map(read, files, chunksize=_CHUNK))


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
