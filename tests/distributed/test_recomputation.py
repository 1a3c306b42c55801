"""Blocks that are computed again on two processes, by the command line."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

LINE = [
    "--model=DetectionTask", "--model.backbone=resnet18", "--model.fpn_width=16", "--model.head_width=16",
    "--data=ShapesDataModule", "--data.task=detection", "--data.train_size=8", "--data.val_size=2",
    "--data.batch_size=2", "--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.devices=2",
    "--trainer.strategy=ddp", "--trainer.precision=32-true",
]  # fmt: skip


@pytest.mark.slow
def test_two_processes_train_as_without(tmp_path: Path) -> None:
    weights = []
    for recompute in ("false", "true"):
        folder = tmp_path / recompute
        folder.mkdir()
        line = [sys.executable, "-m", "visiontasks", "fit", *LINE, f"--model.gradient_checkpointing={recompute}"]
        done = subprocess.run(line, cwd=folder, timeout=300, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        (file,) = folder.rglob("last.ckpt")
        weights.append(torch.load(file, weights_only=True)["state_dict"])
    plain, again = weights
    assert all(torch.equal(value, again[name]) for name, value in plain.items())
