"""Input alone: MNISTDataModule against torchvision's MNIST with ToTensor, Normalize and DataLoader.

Command: VISIONTASKS_DATA=FOLDER python benchmarks/mnist_input.py
"""

import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from common import alternate, data_root, report, setting
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import MNIST

from visiontasks import MNISTDataModule

BATCH, BATCHES = 128, 100


def consume(loader: Iterable[Any]) -> float:
    """Take some batches of an epoch and return samples per second, the start of the loader included."""
    start, samples = time.perf_counter(), 0
    for batch in itertools.islice(loader, BATCHES):
        samples += len(batch[0])
    return samples / (time.perf_counter() - start)


def usual_loader(root: Path, workers: int) -> DataLoader[Any]:
    """Create the loader that tutorials use."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    dataset = MNIST(str(root), train=True, transform=transform, download=True)
    return DataLoader(dataset, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)


def main() -> int:
    """Measure, compare the pixels of both sides, print the verdict."""
    setting()
    source = data_root("MNIST/raw")
    with tempfile.TemporaryDirectory() as folder:
        # torchvision unpacks the files beside the archives.
        shutil.copytree(source / "MNIST", Path(folder) / "MNIST", copy_function=shutil.copyfile)
        data = MNISTDataModule(source, batch_size=BATCH, val_size=1)
        data.setup("fit")
        loaders = {workers: usual_loader(Path(folder), workers) for workers in (0, 2)}
        pixels, label = loaders[0].dataset[int(data.train_set.ids[7])]
        own = (data.train_set.pixels[7].permute(2, 0, 1) / 255 - 0.1307) / 0.3081
        torch.testing.assert_close(own, pixels)
        assert label == int(data.train_set.labels[7])
        sides = {
            "MNISTDataModule": lambda: consume(data.train_dataloader()),
            "torchvision MNIST, DataLoader, 0 workers": lambda: consume(loaders[0]),
            "torchvision MNIST, DataLoader, 2 workers": lambda: consume(loaders[2]),
        }
        figures = alternate(sides)
    best = max((name for name in figures if "torchvision" in name), key=lambda name: sorted(figures[name])[2])
    return 0 if report("Input alone, batches of 128", figures, "MNISTDataModule", best, 20) else 1


if __name__ == "__main__":
    sys.exit(main())
