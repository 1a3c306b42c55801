"""A signal to any process of a training by two: both save one checkpoint, and end with the code of the signal."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.faults.launch import wait_for
from tests.faults.programs import Program, plain_environment, run
from visiontasks.callbacks import LastCheckpoint
from visiontasks.tasks.reading import read_checkpoint

COMMAND = (
    "fit --data.train_size 600 --data.val_size 400 --data.batch_size 4 --data.eval_batch_size 2 --data.num_workers 1 "
    "--data.image_size [20,20] --model.backbone cnn --model.backbone_options.filters [4,8] "
    "--model.backbone_options.depth 1 --trainer.max_epochs 3 --trainer.accelerator cpu --trainer.devices 2 "
    "--trainer.precision 32-true --trainer.enable_model_summary false --shown [] "
    "--report false --ckpt_path last --trainer.callbacks+=tests.faults.pace.Pace"
)
ALL = [(phase, ranks) for phase in ("training", "validation") for ranks in ((0,), (1,), (0, 1))]


def stop(signum: int, phase: str, ranks: tuple[int, ...], folder: Path) -> tuple[int, float, list[int]]:
    """Train, and send a signal to some of the processes in a phase.

    Returns:
        The exit code, the seconds from the signal to the end, and the processes.
    """
    sent: list[float] = []
    processes: list[int] = []

    def send(program: Program) -> None:
        files = [folder / f"{phase}-{rank}" for rank in (0, 1)]
        wait_for(lambda: program.poll() is not None or all(file.exists() for file in files), 240)
        time.sleep(0.5)
        processes.extend(int(file.read_text()) for file in files)
        for rank in ranks:
            os.kill(processes[rank], signum)
        sent.append(time.monotonic())

    words = [sys.executable, "-m", "visiontasks", *COMMAND.split()]
    code = run(words, folder, plain_environment() | {"PACE": "0.05"}, send)
    return code, time.monotonic() - sent[0], processes


def check(phase: str, ranks: tuple[int, ...], folder: Path) -> None:
    """Stop a training of two processes by SIGTERM."""
    code, seconds, processes = stop(signal.SIGTERM, phase, ranks, folder)
    printed = (folder / "output.txt").read_text()
    assert code == 143, printed
    assert seconds < 10, printed
    assert printed.count("Stopped by SIGTERM") == 1, printed
    assert "Traceback" not in printed
    wait_for(lambda: not any(Path(f"/proc/{process}").exists() for process in processes), 10)
    (checkpoint,) = (folder / "runs" / "fit" / "version_0" / "checkpoints").iterdir()
    content = read_checkpoint(checkpoint)
    where = {"training": "batch", "validation": "validation"}[phase]
    assert content["callbacks"][LastCheckpoint.__qualname__]["kind"] == where


def test_sigterm_to_the_second_process_in_training(tmp_path: Path) -> None:
    check("training", (1,), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "ranks"), [case for case in ALL if case != ("training", (1,))], ids=str)
def test_sigterm_to_any_process_in_any_phase(phase: str, ranks: tuple[int, ...], tmp_path: Path) -> None:
    check(phase, ranks, tmp_path)
