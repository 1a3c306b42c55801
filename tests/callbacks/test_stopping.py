"""Signals are noted, agreed on, and answered."""

import os
import signal
import stat
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from lightning.fabric.plugins.environments import LightningEnvironment, SLURMEnvironment
from lightning.pytorch import Trainer

from tests.faults.launch import CONTEXT
from visiontasks.callbacks.stopping import StopSignals

JOB = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "train"}


def trainer_of(environment: Any = None, rank: int = 0) -> Any:  # noqa: ANN401 - what the signals need of a Trainer
    trainer = Mock(spec=Trainer, strategy=Mock(launcher=None), is_global_zero=rank == 0, loggers=[])
    trainer._accelerator_connector = Mock(cluster_environment=environment or LightningEnvironment())
    return trainer


@pytest.fixture
def handlers() -> Any:  # noqa: ANN401 - a generator
    """Put the handlers of signals back."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for SLURM's command; the file gets what it is called with."""
    calls = tmp_path / "calls"
    program = tmp_path / "bin" / "scontrol"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    return calls


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_is_noted_and_the_process_goes_on(signum: int) -> None:
    signals = StopSignals()
    signals.install(trainer_of())
    assert signals.agreed() == (0, False)
    os.kill(os.getpid(), signum)
    assert signals.agreed(wish=True) == (signum, True)
    assert signals.end(signum).code == 128 + signum


def _twice() -> None:
    signals = StopSignals()
    signals.install(trainer_of())
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    os._exit(0)


def test_a_second_signal_ends_the_process_at_once() -> None:
    process = CONTEXT.Process(target=_twice)
    process.start()
    process.join(60)
    assert process.exitcode == 130


@pytest.mark.usefixtures("handlers")
def test_slurm_starts_the_job_again(scontrol: Path, capsys: pytest.CaptureFixture[str]) -> None:
    signals = StopSignals()
    signals.install(trainer_of(SLURMEnvironment()))
    signals.end(signal.SIGUSR1)
    assert scontrol.read_text() == "requeue 77\n"
    assert "SLURM starts job 77 again." in capsys.readouterr().out


@pytest.mark.usefixtures("handlers")
def test_slurm_starts_a_job_of_an_array_again(scontrol: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "70")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    signals = StopSignals()
    signals.install(trainer_of(SLURMEnvironment()))
    signals.end(signal.SIGUSR1)
    assert scontrol.read_text() == "requeue 70_3\n"


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(
    ("trainer", "signum"),
    [
        (trainer_of(SLURMEnvironment(), rank=1), signal.SIGUSR1),
        (trainer_of(SLURMEnvironment(auto_requeue=False)), signal.SIGUSR1),
        (trainer_of(SLURMEnvironment()), signal.SIGTERM),
        (trainer_of(SLURMEnvironment(requeue_signal=signal.SIGUSR2)), signal.SIGUSR1),
    ],
    ids=["another process", "not wanted", "a job that is cancelled", "another signal"],
)
def test_slurm_is_not_asked_otherwise(scontrol: Path, trainer: Any, signum: int) -> None:  # noqa: ANN401 - see above
    signals = StopSignals()
    signals.install(trainer)
    signals.end(signum)
    assert not scontrol.exists()


@pytest.mark.usefixtures("handlers")
def test_a_refused_requeue_is_a_warning(scontrol: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (scontrol.parent / "bin" / "scontrol").write_text("#!/bin/sh\necho not allowed >&2; exit 1\n")
    signals = StopSignals()
    signals.install(trainer_of(SLURMEnvironment()))
    with pytest.warns(UserWarning, match="SLURM did not requeue job 77: .*not allowed"):
        signals.end(signal.SIGUSR1)
