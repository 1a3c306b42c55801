"""Workers that die or do not answer: one readable message, whatever the main process was doing."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any
from weakref import finalize

from torch._C import _error_if_any_worker_fails

from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.data.loading.sharing import remedy
from visiontasks.errors import WorkerError

WORKER_TIMEOUT = 300.0
"""Seconds after which a worker that has not made a batch counts as hanging."""

_SECONDS_AFTER_SIGTERM = 10

_NAMED = 3
"""Maximum number of images that a message names."""


def death(error: RuntimeError) -> WorkerError:
    """Translate torch's error about a worker that died.

    Args:
        error: What torch raised; its text begins with "DataLoader worker".
    """
    # While torch waits for a batch, it replaces the error that says how the worker ended by one that does not.
    if isinstance(error.__cause__, WorkerError):
        return error.__cause__
    message = (
        f"A worker process ended ({str(error).strip()}). The system ends one if memory or shared memory runs out; a "
        f"library that reads or changes images may crash. {remedy()}"
    )
    return WorkerError(message)


def silence(
    worker: int, workers: int, pid: int | None, request: BatchRequest, files: ImageIndex | None, seconds: float
) -> WorkerError:
    """Describe a worker that does not answer.

    Args:
        worker: Number of the worker, from 0.
        workers: Number of workers.
        pid: Its process, if known.
        request: The batch that is waited for.
        files: Index of the files of the data set, if it has one.
        seconds: How long it was waited for.
    """
    images = [str(index) if files is None else f"{index} ({files.file(index)})" for index in request.indices[:_NAMED]]
    rest = len(request.indices) - len(images)
    others = f" and {rest} others" if rest else ""
    process = f" (process {pid})" if pid else ""
    look = f", 'py-spy dump --pid {pid}' shows where it is" if pid else ""
    message = (
        f"Worker {worker + 1} of {workers}{process} has not answered for {seconds:g} s: it was to make a batch of the "
        f"images {', '.join(images)}{others} in epoch {request.epoch}. Look whether the disk or network that holds "
        f"them answers, and whether a transform hangs{look}. worker_timeout (--data.worker_timeout SECONDS) waits "
        "longer, 0 for ever; num_workers=0 uses no workers."
    )
    return WorkerError(message)


def translate_deaths() -> None:
    """Translate what torch raises in the main thread, wherever that is, when the system reports a worker's death.

    To be called when a loader has started its workers. torch asks the system once per process, and a Trainer that has
    ended takes back every handler that was set since it began: hence the question to torch here.
    """
    # Windows reports no deaths; torch looks for them while it waits for a batch.
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGCHLD)
    if not isinstance(handler, _Translated):
        signal.signal(signal.SIGCHLD, _Translated(handler if callable(handler) else None))


def end_with(loader: object, iterator: Any) -> None:  # noqa: ANN401 (torch's, whose class is private)
    """Let the workers of an iterator end with its loader, or with this process.

    Torch ends them when the iterator is deleted. In a cycle of garbage their queues are closed before, so that they
    never hear of it, and are waited for and terminated one by one; at the end of a process they would outlive it.

    Args:
        loader: The loader.
        iterator: What it iterates by; without workers there is nothing to do.
    """
    if hasattr(iterator, "_shutdown_workers"):
        finalize(loader, _shut_down, iterator._shutdown_workers, os.getpid())


def _shut_down(shut_down: Callable[[], None], owner: int) -> None:
    """End the workers, which only the process that started them may: another one is a later worker, a copy of it."""
    if os.getpid() == owner:
        shut_down()


def outlive_a_stop(worker: int) -> None:
    """Let a worker outlive the first SIGTERM for a while, in which its process saves a checkpoint.

    A scheduler that ends a job sends the signal to all of its processes, and a training without workers cannot go on
    to the end of its step. To be called in the worker.

    Args:
        worker: Number of the worker, which torch passes on.
    """

    def wait(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.alarm(_SECONDS_AFTER_SIGTERM)

    if sys.platform != "win32":
        signal.signal(signal.SIGTERM, wait)


class _Translated:
    """A handler of the signal that a child process ended, whose errors are readable."""

    def __init__(self, previous: Callable[[int, FrameType | None], Any] | None) -> None:
        self.previous = previous

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        try:
            _error_if_any_worker_fails()
            if self.previous is not None:
                self.previous(signum, frame)
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            raise death(error) from error
