"""The recipe of each task logs to Weights & Biases: on one process, on two, and after a kill; on real data."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.callbacks.wandb_log import Log, read_log

ROOT = Path(__file__).parents[2]
DATA = os.environ.get("VISIONTASKS_DATA")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(DATA is None, reason="VISIONTASKS_DATA names no folder of real data sets"),
]
FOLDERS = {
    "mnist_classification": "MNIST",
    "localization": "cards",
    "bccd_detection": "BCCD",
    "camvid_segmentation": "CamVid",
    "mnist_autoencoder": "MNIST",
}
SHORT = [
    *("--data.batch_size", "4", "--data.eval_batch_size", "4", "--data.num_workers", "0"),
    *("--trainer.limit_train_batches", "2", "--trainer.limit_val_batches", "2", "--trainer.limit_test_batches", "2"),
    *("--trainer.check_val_every_n_epoch", "1", "--trainer.log_every_n_steps", "1"),
    *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
]


def start(recipe: str, folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start a recipe, in a group of processes of its own."""
    assert DATA is not None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "recipes" / f"{recipe}.py"), "--data.root", str(Path(DATA) / FOLDERS[recipe]),
         "--wandb", recipe, *SHORT, *words],
        cwd=folder, env={**environment, "HOME": str(folder), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def began(folder: Path) -> bool:
    """Tell whether the file of a run holds a block: Weights & Biases writes 32 KiB at a time, after a header."""
    return any(file.stat().st_size > 7 for file in folder.glob("runs/wandb/offline-run-*/run-*.wandb"))


def logs(folder: Path) -> list[Log]:
    """Read the runs, in the order in which they began."""
    files = sorted(folder.glob("runs/wandb/offline-run-*/run-*.wandb"), key=lambda file: file.parent.name)
    return [read_log(file) for file in files]


def check_contents(recipe: str, log: Log) -> None:
    """Check that configuration, metrics and pictures are there, with boxes or masks where the task has them."""
    assert log.project == log.name == recipe
    assert len(log.tags) == 2
    assert log.config["arguments"]["data"]["root"].endswith(FOLDERS[recipe])
    assert log.config["data_fingerprint"]
    keys = {key for row in log.history for key in row}
    assert {"train/loss", "val/loss", "val/predictions"} <= keys
    pictures: dict[str, Any] = log.last("val/predictions")
    # An autoencoder's are one picture, of images above their reconstructions.
    files = pictures["filenames"] if "filenames" in pictures else [pictures["path"]]
    assert all((log.folder / name).is_file() for name in files)
    native = {"localization": "all_boxes", "bccd_detection": "all_boxes", "camvid_segmentation": "all_masks"}
    if recipe in native:
        drawn = pictures[native[recipe]]
        assert len(drawn) == pictures["count"]
        assert all({"ground_truth", "predictions"} <= set(layers) for layers in drawn if layers)
        assert any(drawn)


@pytest.mark.parametrize("recipe", FOLDERS)
def test_a_run_holds_configuration_metrics_and_pictures(recipe: str, tmp_path: Path) -> None:
    _, errors = (process := start(recipe, tmp_path, "--trainer.max_epochs", "1")).communicate(timeout=600)
    assert process.returncode == 0, errors
    (log,) = logs(tmp_path)
    check_contents(recipe, log)
    assert any(key.startswith("test/") for row in log.history for key in row)


@pytest.mark.parametrize("recipe", FOLDERS)
def test_two_killed_processes_go_on_as_one_run(recipe: str, tmp_path: Path) -> None:
    pair = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    process = start(recipe, tmp_path, *pair, "--trainer.max_epochs", "100000")
    last = tmp_path / "runs" / recipe / "version_0" / "checkpoints" / "last.ckpt"
    try:
        end = time.monotonic() + 300
        while not (last.is_file() and torch.load(last, weights_only=True)["epoch"] >= 2 and began(tmp_path)):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end
            time.sleep(1)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    reached = torch.load(last, weights_only=True)["epoch"]
    resumed = start(recipe, tmp_path, *pair, "--trainer.max_epochs", str(reached + 3), "--ckpt_path", str(last))
    _, errors = resumed.communicate(timeout=600)
    assert resumed.returncode == 0, errors
    first, second = logs(tmp_path)
    assert first.number == second.number
    check_contents(recipe, second)
    assert [row["epoch"] for row in second.history if "val/loss" in row] == [reached + 1, reached + 2]
