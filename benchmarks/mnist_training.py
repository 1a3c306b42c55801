"""Training steps of a small CNN on MNIST: ours against plain PyTorch, bare Lightning, and the usual path.

Command: VISIONTASKS_DATA=FOLDER python benchmarks/mnist_training.py
"""

import copy
import itertools
import logging
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from common import alternate, data_root, report, setting
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from mnist_input import usual_loader
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy

from visiontasks import ClassificationTask, MNISTDataModule
from visiontasks.cli.hardware import default_precision
from visiontasks.data.datasets.memory import MemoryDataset

STEPS, SKIPPED = 60, 10
OPTIMIZER = partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.05)
BACKBONE = {"filters": [32, 64, 128], "depth": 1}


class Stopwatch(Callback):
    """Measures the steps after the first few."""

    def __init__(self) -> None:
        self.start = self.seconds = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Start after the steps that warm up."""
        if batch_idx == SKIPPED:
            self.start = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop after the last step."""
        self.seconds = time.perf_counter() - self.start


class Bare(LightningModule):
    """The same network in the smallest LightningModule."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Compute the cross-entropy."""
        return F.cross_entropy(self.network(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Create the optimiser."""
        return OPTIMIZER(self.parameters())


class Usual(Bare):
    """What tutorials write: a metric's forward and two logs in every step."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.accuracy = MulticlassAccuracy(10, average="micro")

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Compute the cross-entropy and log it with the accuracy."""
        images, labels = batch
        outputs = self.network(images)
        loss = F.cross_entropy(outputs, labels)
        self.accuracy(outputs, labels)
        self.log("train/loss", loss, prog_bar=True)
        self.log("train/accuracy", self.accuracy, on_step=True, on_epoch=True, prog_bar=True)
        return loss


def trainer_rate(
    make: Callable[[], LightningModule], loader: DataLoader[Any], folder: str, batch: int, precision: Any
) -> float:
    """Train with a default Trainer and return samples per second."""
    watch = Stopwatch()
    trainer = Trainer(
        max_epochs=1,
        limit_train_batches=STEPS,
        logger=CSVLogger(folder),
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[watch],
        precision=precision,
    )
    trainer.fit(make(), loader)
    return (STEPS - SKIPPED) * batch / watch.seconds


def plain_rate(network: nn.Module, dataset: MemoryDataset, batch: int) -> float:
    """Train in a plain loop over the tensors in memory and return samples per second."""
    images, labels = dataset.pixels.permute(0, 3, 1, 2), dataset.labels
    optimizer = OPTIMIZER(network.parameters())
    order = torch.randperm(len(labels))
    start = 0.0
    for step in range(STEPS):
        if step == SKIPPED:
            start = time.perf_counter()
        indices = order[step * batch : (step + 1) * batch]
        loss = F.cross_entropy(network(images[indices]), labels[indices])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (STEPS - SKIPPED) * batch / (time.perf_counter() - start)


class Network(nn.Module):
    """The task's network without the task."""

    def __init__(self, task: ClassificationTask, normalize: bool = True) -> None:
        super().__init__()
        self.normalize = task.normalize if normalize else nn.Identity()
        self.backbone, self.head = task.backbone, task.head

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits."""
        logits: Tensor = self.head(self.backbone(self.normalize(images)))
        return logits.float()


def main() -> int:
    """Measure the four comparisons; check first that all sides do the same work."""
    setting()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    source = data_root("MNIST/raw")
    torch.manual_seed(0)
    task = ClassificationTask(
        num_classes=10, in_channels=1, backbone_options=BACKBONE, normalization="unit", optimizer=OPTIMIZER
    )
    met = []
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(source / "MNIST", Path(folder) / "MNIST", copy_function=shutil.copyfile)
        for batch in (128, 512):
            data = MNISTDataModule(source, batch_size=batch, val_size=1)
            data.setup("fit")
            loader = data.train_dataloader()
            same_work(task, data.train_set)
            sides = {
                "Task, MNISTDataModule, Trainer": lambda loader=loader, b=batch: trainer_rate(
                    lambda: copy.deepcopy(task), loader, folder, b, "32-true"
                ),
                "plain loop": lambda d=data, b=batch: plain_rate(Network(copy.deepcopy(task)), d.train_set, b),
            }
            figures = alternate(sides)
            title = f"Training step, batch {batch}, against a plain PyTorch loop"
            ours, theirs = sides
            met.append(report(title, figures, ours, theirs, 0.93))
        met.append(against_bare(task, source, folder))
        met.append(against_usual(task, source, folder))
    return 0 if all(met) else 1


def against_bare(task: ClassificationTask, source: Path, folder: str) -> bool:
    """Measure the Task against a bare LightningModule with the same network, loader and Trainer."""
    data = MNISTDataModule(source, batch_size=128, val_size=1)
    data.setup("fit")
    loader = data.train_dataloader()
    sides = {
        "Task": lambda: trainer_rate(lambda: copy.deepcopy(task), loader, folder, 128, "32-true"),
        "bare LightningModule": lambda: trainer_rate(
            lambda: Bare(Network(copy.deepcopy(task))), loader, folder, 128, "32-true"
        ),
    }
    ours, theirs = sides
    return report("Our Task over a bare LightningModule, batch 128", alternate(sides, 9), ours, theirs, 0.97)


def against_usual(task: ClassificationTask, source: Path, folder: str) -> bool:
    """Measure our defaults against torchvision's loader, float32, a metric's forward and logs in every step."""
    data = MNISTDataModule(source, batch_size=128, val_size=1)
    data.setup("fit")
    loader = data.train_dataloader()
    usual = {workers: usual_loader(Path(folder), workers) for workers in (0, 2)}
    precision = default_precision("auto")
    ours = f"our defaults ({precision}, channels-last)"
    sides = {
        ours: lambda: trainer_rate(
            lambda: copy.deepcopy(task).to(memory_format=torch.channels_last), loader, folder, 128, precision
        )
    }
    for workers, usual_batches in usual.items():
        sides[f"usual path, {workers} workers"] = partial(
            trainer_rate,
            lambda: Usual(Network(copy.deepcopy(task), normalize=False)),
            usual_batches,
            folder,
            128,
            "32-true",
        )
    figures = alternate(sides)
    best = max(itertools.islice(figures, 1, None), key=lambda name: sorted(figures[name])[2])
    return report("Whole training step against the usual path, batch 128", figures, ours, best, 2.0)


def same_work(task: ClassificationTask, dataset: MemoryDataset) -> None:
    """Check that the sides have the same parameters, outputs and first loss."""
    network = Network(copy.deepcopy(task))
    images, labels = dataset.pixels[:64].permute(0, 3, 1, 2), dataset.labels[:64]
    outputs = task(images)
    torch.testing.assert_close(network(images), outputs)
    torch.testing.assert_close(F.cross_entropy(network(images), labels), F.cross_entropy(outputs, labels))
    own = sum(parameter.numel() for parameter in task.parameters())
    assert own == sum(parameter.numel() for parameter in network.parameters())
    print(f"{own:,} parameters, first loss {F.cross_entropy(outputs, labels).item():.4f}")


if __name__ == "__main__":
    sys.exit(main())
