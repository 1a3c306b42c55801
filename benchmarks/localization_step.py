"""Training steps of localization against classification, with the same backbone at the same size.

Command: python benchmarks/localization_step.py
"""

import copy
import logging
import statistics
import sys
import tempfile
import time
import warnings
from functools import partial
from typing import Any

import torch
from common import alternate, setting
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader

from visiontasks import ClassificationBatch, ClassificationTask, LocalizationBatch, LocalizationTask
from visiontasks.cli.hardware import default_precision
from visiontasks.heads.localization import Head
from visiontasks.tasks.task import Task

SIZE, BATCH, CLASSES = 160, 16, 6
STEPS, SKIPPED, ROUNDS = 10, 2, 5
HEADS: tuple[Head, ...] = ("attention", "pooled")
TARGET = 1.05


class Stopwatch(Callback):
    """Measures the steps after the first few."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note when each step ended."""
        self.times.append(time.perf_counter())


def rate(task: Task, batch: Any, folder: str, precision: Any) -> float:
    """Train with a Trainer and return images per second, by the median step."""
    watch = Stopwatch()
    trainer = Trainer(
        max_steps=STEPS,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        default_root_dir=folder,
        callbacks=[watch],
        precision=precision,
    )
    copied = copy.deepcopy(task).to(memory_format=torch.channels_last)
    trainer.fit(copied, DataLoader([batch] * STEPS, batch_size=None))  # type: ignore[arg-type]  # read like a Dataset
    steps = [after - before for before, after in zip(watch.times, watch.times[1:], strict=False)][SKIPPED:]
    return BATCH / statistics.median(steps)


def main() -> int:
    """Measure both heads; check first that the backbones have the same parameters."""
    setting()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    images = torch.randint(256, (BATCH, SIZE, SIZE, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    labels, ids = torch.arange(BATCH) % CLASSES, torch.arange(BATCH)
    boxes = torch.tensor([[20.0, 30, 90, 120]]).expand(BATCH, 4)
    pixels = torch.tensor([[SIZE, SIZE]]).expand(BATCH, 2)
    located = LocalizationBatch(images, labels, boxes, pixels, torch.ones(BATCH, 2), ids)
    classified = ClassificationBatch(images, labels, ids)
    theirs = ClassificationTask(CLASSES, backbone="resnet18")
    ours = {f"LocalizationTask, {head}": LocalizationTask(CLASSES, head=head, backbone="resnet18") for head in HEADS}
    for task in ours.values():
        shapes = {name: value.shape for name, value in task.backbone.named_parameters()}
        assert shapes == {name: value.shape for name, value in theirs.backbone.named_parameters()}
    precision = default_precision("auto")
    print(f"ResNet-18, batch {BATCH} at {SIZE} x {SIZE}, {precision}, channels-last")
    with tempfile.TemporaryDirectory() as folder:
        sides = {name: partial(rate, task, located, folder, precision) for name, task in ours.items()}
        sides["ClassificationTask"] = partial(rate, theirs, classified, folder, precision)
        figures = alternate(sides, ROUNDS)
    return 0 if all([verdict(name, figures) for name in ours]) else 1


def verdict(name: str, figures: dict[str, list[float]]) -> bool:
    """Print the time of a step as a multiple of that of classification."""
    base = figures["ClassificationTask"]
    ratios = [other / own for own, other in zip(figures[name], base, strict=True)]
    ratio = statistics.median(ratios)
    met = ratio <= TARGET
    steps = 1000 * BATCH / statistics.median(figures[name]), 1000 * BATCH / statistics.median(base)
    print(
        f"  {name:<28} {steps[0]:.1f} ms, ClassificationTask {steps[1]:.1f} ms, ratio {ratio:.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f}), target at most {TARGET}: {'met' if met else 'NOT MET'}"
    )
    return met


if __name__ == "__main__":
    sys.exit(main())
