"""What gpu.py runs beside training steps: the tests for a GPU, loaders, MNIST's recipe, an evaluation."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from common import run_recipe
from detection import CLASSES, Pair
from gpu_report import ROOT, Row
from gpu_steps import Machine
from lightning.pytorch import Trainer
from PIL import Image
from torch.utils.data import DataLoader

from visiontasks import DetectionTask, FolderDataModule

ACCURACY = 0.995


def tests_for_gpu(machine: Machine) -> list[Row]:
    """Run tests/gpu; without a CUDA device they are skipped."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu", "tests/gpu"]
    environment = os.environ | {"VISIONTASKS_GPU": "1", "JAXTYPING_DISABLE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines()[-1:] or ["nothing was written"]
    failed = [line.removeprefix("FAILED ") for line in lines if line.startswith(("FAILED", "ERROR"))]
    found = "; ".join([lines[-1].strip("= "), *failed])
    passed = not done.returncode and "passed" in lines[-1]
    skipped = not done.returncode and machine.device.type == "cpu"
    return [
        Row(
            "tests",
            "`pytest -m gpu tests/gpu`",
            found,
            "all pass",
            "met" if passed else "skipped" if skipped else "not met",
        )
    ]


def loader_rate(machine: Machine) -> list[Row]:
    """Load JPEG files of 500 x 375 pixels for training at 224 x 224, by 8 and by 16 workers."""
    files, batch, side = (32, 8, 32) if machine.tiny else (8192, 256, 224)
    size = (64, 48) if machine.tiny else (500, 375)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "train", "all")
        folder.mkdir(parents=True)
        noise = np.random.default_rng(0)
        for number in range(files):
            path = folder / f"{number}.jpg"
            if number < 32:
                coarse = Image.fromarray(noise.integers(256, size=(24, 32, 3), dtype=np.uint8))
                coarse.resize(size, Image.Resampling.BICUBIC).save(path, quality=90)
            else:
                os.link(folder / f"{number % 32}.jpg", path)
        for workers in (1, 2) if machine.tiny else (8, 16):
            data = FolderDataModule(name, image_size=(side, side), batch_size=batch, num_workers=workers)
            data.setup("fit")
            batches = iter(data.train_dataloader())
            first, begun, count = next(batches), time.perf_counter(), 0
            for loaded in batches:
                count += len(loaded.images)
            rate = count / (time.perf_counter() - begun)
            what = (
                f"{workers} workers, {size[0]} x {size[1]} JPEG to {side} x {side}, after the first {len(first.images)}"
            )
            rows.append(Row("loader", what, f"{rate:,.0f} images/s"))
    return rows


def mnist(machine: Machine) -> list[Row]:
    """Run MNIST's recipe until its validation reaches 99.5 %, start of the program and test included."""
    root = Path(os.environ.get("VISIONTASKS_DATA", ""))
    what = "recipe to 99.5 % of the validation, seconds of the whole command"
    if not (root / "MNIST" / "raw").is_dir():
        return [Row("MNIST", what, "VISIONTASKS_DATA names no folder that holds MNIST/raw", verdict="skipped")]
    arguments = ["--data.root", str(root), "--seed_everything", "0", "--report", "false", "--shown", "[]"]
    arguments += ["--trainer.accelerator", "gpu" if machine.device.type == "cuda" else "cpu"]
    if machine.tiny:
        arguments += ["--trainer.max_epochs", "1"]
        arguments += [f"--trainer.limit_{split}_batches=1" for split in ("train", "val", "test")]
    arguments += ["--trainer.callbacks+=lightning.pytorch.callbacks.EarlyStopping"]
    arguments += ["--trainer.callbacks.monitor=val/accuracy", "--trainer.callbacks.mode=max"]
    arguments += [f"--trainer.callbacks.stopping_threshold={ACCURACY}", "--trainer.callbacks.patience=100"]
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        found, _ = run_recipe("mnist_classification", arguments, folder)
        seconds = time.perf_counter() - begun
    met = found["accuracy"] >= ACCURACY and seconds <= 6
    text = f"{seconds:.1f} s, test accuracy {100 * found['accuracy']:.2f} %"
    return [Row("MNIST", what, text, "at most 6 s", "met" if met else "not met")]


def evaluation(machine: Machine) -> list[Row]:
    """Test Faster R-CNN on 5,000 images of 800 x 1216 in memory, COCO's metrics included."""
    name, height, width, images, count = (
        ("resnet18", 64, 96, 8, 4) if machine.tiny else ("resnet50", 800, 1216, 5000, 8)
    )
    task = DetectionTask(CLASSES, backbone=name)
    # So that some of the boxes of a network that was not trained are above the score.
    with torch.no_grad():
        task.roi_head.cls_score.weight.mul_(20)
    batch = Pair(height, width, count, name).batch
    batches = [batch._replace(ids=torch.arange(start, start + count)) for start in range(0, images, count)]
    loader: DataLoader[object] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # read like a Dataset
    on_gpu = machine.device.type == "cuda"
    trainer = Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=1,
        precision="bf16-mixed" if on_gpu else "32-true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    begun = time.perf_counter()
    trainer.test(task, loader, verbose=False)
    seconds = time.perf_counter() - begun
    task.eval()
    with torch.no_grad():
        boxes = (task.predict(task(*task.inputs(batch))).labels >= 0).sum().item() / count
    what = (
        f"Faster R-CNN {name}, {images:,} images of {height} x {width}, {boxes:.0f} boxes each, COCO's metrics included"
    )
    return [Row("evaluation", what, f"{seconds:.1f} s, {images / seconds:,.1f} images/s")]
