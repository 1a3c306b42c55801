"""The command line in processes of their own, which kill themselves where a test says."""

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import torch
from lightning.pytorch import LightningModule
from torch.optim.optimizer import register_optimizer_step_post_hook

from visiontasks.cli import main
from visiontasks.cli.training import run_recipe  # noqa: F401 (loaded before processes are forked)

# Processes are forked from one that has imported everything, which takes the better part of a start.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.faults.launch"])

ROOT = Path(__file__).parents[2]
Strike = Callable[[], None]


def run(command: str, folder: Path, fault: str = "", timeout: float = 240) -> int:
    """Run a command line to its end.

    Args:
        command: The command line.
        folder: Working folder; ``output.txt`` in it gets what is printed.
        fault: Where the process kills itself: a point, and the number of the time at which it gets there.
        timeout: Seconds after which it counts as hanging.

    Returns:
        The exit code; that of a signal is negative.
    """
    folder.mkdir(exist_ok=True)
    process = CONTEXT.Process(target=_main, args=(command.split(), folder, fault))
    process.start()
    process.join(timeout)
    assert process.pid is not None
    hangs = process.is_alive()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # of a killed process, the workers as well
    assert not hangs, f"hangs: {command}\n{(folder / 'output.txt').read_text()}"
    assert process.exitcode is not None
    return process.exitcode


def run_two(command: str, folder: Path, fault: str = "", rank: int = 0, timeout: float = 240) -> int:
    """Run a command line in two processes, of which one kills itself.

    Args:
        command: The command line.
        folder: See :func:`run`.
        fault: See :func:`run`.
        rank: Which of the processes.
        timeout: See :func:`run`.

    Returns:
        The exit code of the first process.
    """
    folder.mkdir(exist_ok=True)
    faults = {"FAULT": fault, "FAULT_RANK": str(rank)}
    env = {**os.environ, **faults, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    words = [sys.executable, str(Path(__file__).with_name("command.py")), *command.split()]
    with (folder / "output.txt").open("a") as output:
        process = subprocess.Popen(words, cwd=folder, env=env, stdout=output, stderr=output, start_new_session=True)
    try:
        code = process.wait(timeout)
        wait_for(lambda: not _runs(process.pid), 60)  # the other one notices
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return code


def _runs(group: int) -> bool:
    """Whether any process of a group runs; those that have ended and were not waited for do not."""
    states = subprocess.run(["ps", "-o", "stat=", "-g", str(group)], capture_output=True, text=True, check=False)
    return any(not state.startswith("Z") for state in states.stdout.split())


def _main(words: list[str], folder: Path, fault: str) -> None:
    os.setsid()
    os.chdir(folder)
    output = (folder / "output.txt").open("a")
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    sys.argv = ["visiontasks", *words]
    torch.set_num_threads(1)
    prepare(fault)
    sys.exit(main(words))


def prepare(fault: str) -> None:
    """Let this process kill itself at a point; "" for never."""
    if fault:
        point, _, number = fault.partition(":")
        _FAULTS[point](_striker(int(number)))


def _striker(number: int) -> Strike:
    passed = 0
    own = os.getpid()

    def strike() -> None:
        nonlocal passed
        passed += 1
        if passed == number and os.getpid() == own:
            os.kill(own, signal.SIGKILL)

    return strike


def _in_step(strike: Strike) -> None:
    from visiontasks.tasks.task import Task

    _before(Task, "training_step", strike)


def _in_validation(strike: Strike) -> None:
    from visiontasks.tasks.task import Task

    _before(Task, "validation_step", strike)


def _in_backward(strike: Strike) -> None:
    original = LightningModule.backward

    def backward(self: LightningModule, loss: torch.Tensor, *args: object, **options: object) -> None:
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        handle = parameters[len(parameters) // 2].register_hook(lambda _: strike())
        original(self, loss, *args, **options)
        handle.remove()

    LightningModule.backward = backward  # type: ignore[method-assign]


def _after_update(strike: Strike) -> None:
    register_optimizer_step_post_hook(lambda *_: strike())


def _in_write(strike: Strike) -> None:
    original = torch.save

    def save(content: object, file: BinaryIO) -> None:
        whole = io.BytesIO()
        original(content, whole)
        data = whole.getvalue()
        file.write(data[: len(data) // 2])
        file.flush()
        strike()
        file.write(data[len(data) // 2 :])

    torch.save = save  # type: ignore[assignment]


def _before_rename(strike: Strike) -> None:
    original = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if Path(target).suffix == ".ckpt":
            strike()
        return original(self, target)

    Path.replace = replace  # type: ignore[method-assign, assignment]


def _after_rename(strike: Strike) -> None:
    original = Path.replace

    def replace(self: Path, target: Path) -> Path:
        renamed = original(self, target)
        if Path(target).suffix == ".ckpt":
            strike()
        return renamed

    Path.replace = replace  # type: ignore[method-assign, assignment]


def _before(owner: type, name: str, strike: Strike) -> None:
    original = getattr(owner, name)

    def wrapped(self: object, *args: object, **options: object) -> object:
        strike()
        return original(self, *args, **options)

    setattr(owner, name, wrapped)


_FAULTS: dict[str, Callable[[Strike], None]] = {
    "step": _in_step,
    "backward": _in_backward,
    "update": _after_update,
    "validation": _in_validation,
    "write": _in_write,
    "before-rename": _before_rename,
    "after-rename": _after_rename,
}


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is the case."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)
