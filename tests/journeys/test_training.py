"""How it is trained: optimiser, search, processes, interruption, tracking."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.callbacks.wandb_log import no_account
from tests.journeys import made_data as made
from tests.journeys.journey import (
    DOCS,
    MOST_COMMANDS,
    MOST_LINES,
    QUICK,
    SMALL,
    SMALL_IMAGES,
    UNSEEN,
    Journey,
    cases,
    check_described,
    code_blocks,
    section,
    travel,
)

ROOT = DOCS.parent
PHOTOS = "--data FolderDataModule --data.root photos"
JOURNEYS = (
    Journey(
        "SGD with cosine",
        "command_line.md#training your_own_data.md",
        made.photos,
        (f"visiontasks fit {PHOTOS} --model.optimizer SGD --model.optimizer.lr 0.1 --model.optimizer.momentum 0.9",),
        said=("Training with SGD (lr 0.1, momentum 0.9", "(lr): cosine"),
        quick=f"{SMALL} {UNSEEN} {SMALL_IMAGES}",
    ),
    Journey(
        "learning rate and batch size",
        "command_line.md#searching-for-a-learning-rate-and-a-batch-size your_own_data.md",
        made.photos,
        (f"visiontasks tune {PHOTOS} --find both --max_batch_size 8",),
        said=("Suggested: --data.batch_size ", " --model.optimizer.lr "),
        quick=f"{SMALL} {SMALL_IMAGES}",
        slow=True,
    ),
    Journey(
        "W&B offline",
        "tracking.md your_own_data.md",
        made.photos,
        (f"visiontasks fit {PHOTOS} --wandb PROJECT",),
        left=(("runs/wandb/offline-run-*/run-*.wandb", ""),),
        quick=f"{SMALL} {UNSEEN} {SMALL_IMAGES}",
        slow=True,
    ),
)
INTERRUPTED = f"visiontasks fit --run night --ckpt_path last {PHOTOS}"
TWO_PROCESSES = f"visiontasks fit {PHOTOS} --trainer.devices 2 --trainer.strategy ddp"
SWEEP = "python recipes/search/search.py optuna recipes/search/shapes.yaml --hours 1 --data.num_workers=2"


@pytest.mark.parametrize("journey", cases(JOURNEYS))
def test_a_training_is_set_up_by_flags(
    journey: Journey,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
) -> None:
    no_account(monkeypatch, home)
    monkeypatch.setenv("WANDB_MODE", "offline")
    check_described(journey)
    travel(journey, capfd, caplog)


def started(command: str) -> "subprocess.Popen[str]":
    """Start a command as a shell does."""
    program, *words = command.split()
    return subprocess.Popen(
        [sys.executable, "-m", program, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), "WANDB_MODE": "disabled"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_resume_after_ctrl_c() -> None:
    check_described(Journey("resume", "command_line.md#stop-and-go-on your_own_data.md", made.photos, (INTERRUPTED,)))
    made.photos()
    quick = f"{QUICK} {SMALL} {UNSEEN} {SMALL_IMAGES} --trainer.max_epochs 60"
    first = started(f"{INTERRUPTED} {quick}")
    metrics = Path("runs/night/version_0/metrics.csv")
    while first.poll() is None and not (metrics.exists() and len(metrics.read_text().splitlines()) > 3):
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)
    said = first.communicate(timeout=120)[0]
    assert first.returncode == 130, said
    assert "Go on with: visiontasks fit --run night " in said
    second = started(f"{INTERRUPTED} {quick}")
    said = second.communicate(timeout=240)[0]
    assert second.returncode == 0, said
    assert "Going on from runs/night/version_0/checkpoints/last.ckpt." in said
    (folder,) = Path("runs/night").iterdir()
    rows = csv.DictReader((folder / "metrics.csv").read_text().splitlines())
    epochs = [int(row["epoch"]) for row in rows if row["val/accuracy"]]
    assert epochs == list(range(60))  # each once: nothing is lost, nothing repeated


@pytest.mark.slow
def test_two_processes() -> None:
    journey = Journey("two processes", "several_gpus.md#on-one-machine your_own_data.md", made.photos, (TWO_PROCESSES,))
    check_described(journey)
    made.photos()
    process = started(f"{TWO_PROCESSES} {QUICK} {SMALL} {UNSEEN} {SMALL_IMAGES}")
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    assert len(list(Path("runs/fit").iterdir())) == 1
    assert said.count("Best checkpoint: ") == 1


def test_a_sweep_is_one_command_in_the_docs() -> None:
    """It is run by tests/recipes/test_search.py, the sweep by test_sweep.py beside it."""
    text = section("command_line.md#searching-for-hyperparameters")
    assert f"$ {SWEEP}\n" in text
    assert (ROOT / SWEEP.split()[1]).is_file()
    (sweep,) = (block for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S) if "wandb sweep" in block)
    assert sum(line.startswith("$ ") for line in sweep.splitlines()) <= MOST_COMMANDS


LOOPS = {"plain-pytorch": "optimizer.step()", "fabric": "fabric.backward(loss)"}


@pytest.mark.parametrize("anchor", LOOPS)
def test_a_loop_of_ones_own_is_short_in_the_docs(anchor: str) -> None:
    """It is run there, as a doctest."""
    blocks = code_blocks(section(f"loops.md#{anchor}"))
    assert LOOPS[anchor] in "\n".join(blocks[0])
    assert max(map(len, blocks)) <= MOST_LINES


NOTEBOOK = code_blocks(section("getting_started.md#the-same-from-python"))[0]


def test_a_notebook() -> None:
    """The lines of Getting started, a cell for each statement, which the doctest runs together."""
    cells: list[str] = []
    for line in NOTEBOOK:
        if line.startswith((" ", ")")):
            cells[-1] += f"\n{line}"
        else:
            cells.append(line)
    assert len(NOTEBOOK) <= MOST_LINES
    names: dict[str, object] = {}
    for cell in cells:
        exec(compile(cell, "cell", "single"), names)
    assert "val/accuracy" in getattr(names["trainer"], "callback_metrics", {})
