"""Cost of what makes a training safe, per step of a small CNN of MNIST: seeding, finite updates, signals and minutes.

Command: OMP_NUM_THREADS=1 python benchmarks/step_safety.py

No data are needed: the images are random. Steps with and without the three callbacks alternate, and the CPU time of the
process is measured, so that other work on the machine disturbs neither. The cost does not depend on the batch size, and
is measured at the smallest, where the step is short; it is compared with a step of 128 images.
"""

import copy
import statistics
import sys
import tempfile
import time
from typing import Any

import torch
from common import setting
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch.utils.data import DataLoader

from visiontasks import ClassificationTask
from visiontasks.callbacks import LastCheckpoint
from visiontasks.tasks.finiteness import FiniteUpdates
from visiontasks.tasks.randomness import StepRandomness
from visiontasks.types import ClassificationBatch

SKIPPED, ROUNDS, TARGET = 20, 3, 0.01


class Alternating(Checkpoint):
    """Runs after all others, lets every second step run without the three callbacks, and measures each."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {"with": [], "without": []}
        self.callbacks: list[Callback] = []
        self.start = 0.0

    def on_train_start(self, trainer: Any, pl_module: LightningModule) -> None:
        """Remember all callbacks."""
        self.callbacks = list(trainer.callbacks)

    def on_train_batch_end(
        self, trainer: Any, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the time since the end of the step before, and choose the callbacks of the next."""
        now = time.process_time()
        if batch_idx >= SKIPPED:
            self.seconds["without" if batch_idx % 2 else "with"].append(now - self.start)
        plain = batch_idx % 2 == 0
        pl_module.fitting = not plain  # type: ignore[assignment]  # an attribute of Plain
        trainer.callbacks = [
            callback
            for callback in self.callbacks
            if not (plain and isinstance(callback, FiniteUpdates | StepRandomness | LastCheckpoint))
        ]
        self.start = time.process_time()


class Plain(ClassificationTask):
    """Notes the terms of the loss only where they are looked at."""

    fitting = True


def measure(task: Plain, batch_size: int, steps: int) -> tuple[float, float]:
    """Train, and return the median seconds of a step with and without the callbacks."""
    images = torch.randint(256, (batch_size, 1, 28, 28), dtype=torch.uint8)
    batch = ClassificationBatch(images, torch.arange(batch_size) % 10, torch.arange(batch_size))
    loader: DataLoader[Any] = DataLoader([batch] * steps, batch_size=None)  # type: ignore[arg-type]  # read like a Dataset
    watch = Alternating()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=1,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
            callbacks=[LastCheckpoint(), watch],
        )
        trainer.fit(copy.deepcopy(task), loader)
    return statistics.median(watch.seconds["with"]), statistics.median(watch.seconds["without"])


def main() -> int:
    """Measure the cost, and print its share of a step."""
    setting()
    task = Plain(num_classes=10, in_channels=1, backbone_options={"filters": [32, 64, 128], "depth": 1})
    shares = []
    for _ in range(ROUNDS):
        own, other = measure(task, 2, 1000)
        _, step = measure(task, 128, 80)
        shares.append((own - other) / step)
        print(
            f"2 images: {own * 1e3:.3f} ms with, {other * 1e3:.3f} ms without, {(own - other) * 1e6:.0f} us more; "
            f"128 images: {step * 1e3:.1f} ms; {shares[-1]:.2%}",
            flush=True,
        )
    share = statistics.median(shares)
    print(f"{share:.2%} of a step of 128 images, target below {TARGET:.0%}: {'met' if share < TARGET else 'NOT MET'}")
    return 0 if share < TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
