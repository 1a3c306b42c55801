"""Processes of a training that wait for one another: who waited for what, when one of them hangs or has ended."""

import atexit
import re
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from subprocess import Popen, TimeoutExpired
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import distributed

from visiontasks.errors import ProcessGroupError
from visiontasks.tasks.owned import OwnedCallback

_SECONDS_TO_END = 3.0
"""How long the other processes have to end by themselves before they are killed."""

_BEGIN = "Process "
"""How an explanation begins."""


class ProcessGroupErrors(OwnedCallback):
    """Explains the error of a process that waited for another one in vain, and leaves no process behind.

    Every task adds it. The explanation is a note on the error, with which Python shows it.
    """

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Add the explanation, and see to it that the processes started by this one end with it."""
        text = explain(exception, trainer)
        if text is not None:
            exception.add_note(text)
            launcher: Any = trainer.strategy.launcher
            # At the exit, when the error has been shown: Lightning kills all processes when it sees one end.
            atexit.register(_end, getattr(launcher, "procs", []))


def explain(error: BaseException, trainer: Trainer) -> str | None:
    """Explain an error of a process that waited for another one.

    Args:
        error: The error.
        trainer: The Trainer, as it was when the error was raised.

    Returns:
        Which process waited, where, for how long, and what to do; None for any other error.
    """
    if not isinstance(error, RuntimeError):
        return None
    text = str(error)
    if not isinstance(error, distributed.DistError) and "/gloo/" not in text:
        return None
    process = f"{_BEGIN}{trainer.global_rank} of {trainer.world_size}"
    stage = "" if trainer.state.stage is None else f", stage {trainer.state.stage.value!r}"
    where = f"{_place(error)} (step {trainer.global_step}, epoch {trainer.current_epoch}{stage})"
    if not re.search("time.?out|timed out", text, re.IGNORECASE):
        return (
            f"{process} waited for another one {where}, which ended. The output of that process says why; if there is "
            "none, the system may have ended it because memory ran out."
        )
    limit: timedelta | None = getattr(trainer.strategy, "_timeout", None)
    seconds = "" if limit is None else f" for {limit.total_seconds():g} s"
    return (
        f"{process} waited{seconds} for another one {where}, which did not come. That process hangs, or is busy with "
        "something else: look at its output, and by 'py-spy dump --pid PID' where it is. --collective_timeout SECONDS, "
        "from Python DDPStrategy(timeout=timedelta(seconds=...)), waits longer."
    )


@contextmanager
def explained() -> Iterator[None]:
    """Raise the explanation of such an error alone.

    Raises:
        ProcessGroupError: If the Trainer was left by a process, or waited for one in vain.
    """
    try:
        yield
    except RuntimeError as error:
        notes = [note for note in getattr(error, "__notes__", []) if note.startswith(_BEGIN)]
        if not notes:
            raise
        raise ProcessGroupError(notes[0]) from error


def _place(error: BaseException) -> str:
    """Name the exchange in which a process waited: the last one in the stack."""
    caller = None
    where = "where the processes meet at the start"
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.name == "backward":
            where = "to average the gradients"
        elif "torch/distributed" not in frame.filename:
            caller = frame
        elif caller is not None and frame.filename.endswith("_c10d.py") and frame.name != "init_process_group":
            where = f"in {frame.name} of {caller.name} ({caller.filename}, line {caller.lineno})"
            caller = None
    return where


def _end(processes: list[Popen[bytes]]) -> None:
    for process in processes:
        try:
            process.wait(_SECONDS_TO_END)
        except TimeoutExpired:
            process.send_signal(signal.SIGKILL)
