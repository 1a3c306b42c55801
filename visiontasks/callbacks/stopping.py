"""Signals that stop a training, on which all processes agree."""

import gc
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any

import torch
from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import distributed

from visiontasks.callbacks.wandb_run import finish_runs

_SECONDS_BETWEEN_CHECKS = 1.0
_MOST_STEPS_BETWEEN_CHECKS = 1000
_SECONDS_OF_REQUEUE = 5.0
_SECONDS_OF_UPLOAD = 4.0
"""A process that is told to end has ten seconds for all."""


class Interruption(SystemExit):
    """The end of a training by a signal, after its checkpoint was saved; the exit code is 128 and the signal's number.

    Args:
        signum: The signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)


class StopSignals:
    """SIGTERM, SIGINT and SIGUSR1 (or the requeue signal of SLURM) as a request, instead of an end.

    A process notes the first signal; a second one ends it at once. Processes of a distributed training compare their
    notes about once a second over a group on the CPU, so that no device is waited for.
    """

    def __init__(self) -> None:
        self._noted = 0
        self._trainer: Trainer | None = None
        self._group: Any = None  # torch's, or a number on a process that is no part of it
        self._steps, self._interval, self._since = 0, 1, time.monotonic()

    def install(self, trainer: Trainer) -> None:
        """Handle signals from now on; the Trainer puts the earlier handlers back at its end.

        Lightning's own handlers, which it installs shortly before, wait for the other processes within the handler,
        and save nothing unless SLURM asks.
        """
        self._trainer = trainer
        if threading.current_thread() is threading.main_thread():
            for signum in (signal.SIGTERM, signal.SIGINT, _requeue_signal(trainer)):
                signal.signal(signum, self._note)

    def connect(self) -> None:
        """Create the group of the processes; all of them have to call it."""
        if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
            self._group = distributed.new_group(backend="gloo")

    def begin(self) -> None:
        """Start counting steps of training or validation; all processes have to call it at the same step."""
        self._steps, self._interval, self._since = 0, 1, time.monotonic()

    def agreed(self, wish: bool = False, *, now: bool = False) -> tuple[int, bool]:
        """Agree with the other processes after a step.

        Args:
            wish: A question of the caller's own, that is answered for all processes by that of the first.
            now: Whether to agree now, and not only after about a second.

        Returns:
            The signal that any process has noted, 0 for none; and the answer.
        """
        if self._group is None:
            return self._noted, wish
        self._steps += 1
        if not now and self._steps < self._interval:
            return 0, False
        seconds = (time.monotonic() - self._since) / self._steps
        mine = wish and distributed.get_rank() == 0
        notes = torch.tensor([self._noted, mine, seconds], dtype=torch.float64)
        distributed.all_reduce(notes, distributed.ReduceOp.MAX, self._group)
        signum, answer, slowest = notes.tolist()
        self.begin()
        # Equal on all processes, because it is computed from what they exchanged.
        self._interval = int(min(max(_SECONDS_BETWEEN_CHECKS / max(slowest, 1e-9), 1), _MOST_STEPS_BETWEEN_CHECKS))
        return int(signum), bool(answer)

    def fewest(self, count: float) -> float:
        """Find the smallest of a number of each process."""
        if self._group is None:
            return count
        counts = torch.tensor(float(count), dtype=torch.float64)
        distributed.all_reduce(counts, distributed.ReduceOp.MIN, self._group)
        return counts.item()

    def end(self, signum: int) -> Interruption:
        """Prepare the end of all processes after the checkpoint was saved: end the upload, let SLURM requeue the job.

        Returns:
            The exception to raise.
        """
        trainer = self._trainer
        assert trainer is not None
        launcher = trainer.strategy.launcher
        if isinstance(launcher, _SubprocessScriptLauncher):
            # Lightning kills the first process when it sees that another has ended, which is what is meant to happen.
            launcher.procs.clear()
        if trainer.is_global_zero:
            finish_runs(trainer, _SECONDS_OF_UPLOAD)
            environment = trainer._accelerator_connector.cluster_environment
            wanted = not isinstance(environment, SLURMEnvironment) or environment.auto_requeue
            if wanted and signum == _requeue_signal(trainer) and SLURMEnvironment.detect():
                _requeue()
        if self._group is not None:
            # srun and torchrun end the first process, too, as soon as another has ended.
            with suppress(RuntimeError):  # a second signal has ended it
                distributed.barrier(self._group)
        # So that Lightning ends the workers of training as well, in a validation.
        trainer.training = True
        # Otherwise the end of the interpreter searches half a million objects for cycles, which takes seconds.
        gc.freeze()
        return Interruption(signum)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self._noted:
            launcher = self._trainer.strategy.launcher if self._trainer else None
            for process in launcher.procs if isinstance(launcher, _SubprocessScriptLauncher) else ():
                process.kill()
            os._exit(128 + signum)
        self._noted = signum
        # Workers of the data may have got the signal, too; their end is not to end the step.
        signal.signal(signal.SIGCHLD, lambda *_: None)


def signal_name(signum: int) -> str:
    """Name a signal."""
    return signal.Signals(signum).name


def _requeue_signal(trainer: Trainer) -> int:
    environment = trainer._accelerator_connector.cluster_environment
    chosen = environment.requeue_signal if isinstance(environment, SLURMEnvironment) else None
    return int(chosen or signal.SIGUSR1)


def _requeue() -> None:
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, timeout=_SECONDS_OF_REQUEUE, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        output = getattr(error, "stderr", None) or b""
        rank_zero_warn(f"SLURM did not requeue job {job}: {error} {output.decode(errors='replace').strip()}".strip())
    else:
        print(f"SLURM starts job {job} again.", flush=True)
