"""Cost of the command line's callbacks: their share of the CPU time of training, including validations.

Each recipe trains on its real data from one validation to the next, as it stands. The hooks of the callbacks are
timed inside that run, so that other work on the machine does not change the share much.

Command: VISIONTASKS_DATA=FOLDER python benchmarks/callbacks.py [--recipes localization bccd_detection]
"""

import argparse
import os
import runpy
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from common import data_root, setting
from lightning.pytorch import Callback, Trainer

from visiontasks.cli import training
from visiontasks.cli.default_callbacks import default_callbacks

TARGET = 0.02
ROOT = Path(__file__).resolve().parents[1]
RECIPES = {
    "mnist_classification": ("MNIST", 1),
    "localization": ("cards", 20),
    "bccd_detection": ("BCCD", 5),
    "camvid_segmentation": ("CamVid", 5),
    "mnist_autoencoder": ("MNIST", 1),
}
"""Data set of each recipe, and the epochs between its validations."""


class Clock(Callback):
    """Measures a training, and within it the hooks of other callbacks."""

    def __init__(self) -> None:
        self.total = 0.0
        self.parts: dict[str, float] = defaultdict(float)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Begin."""
        self.parts.clear()
        self.total = -time.process_time()

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """End."""
        self.total += time.process_time()

    def watch(self, callback: Callback) -> None:
        """Time the hooks that a callback has."""
        kind = type(callback)
        for name in dir(callback):
            if name.startswith("on_") and getattr(kind, name) is not getattr(Callback, name, None):
                setattr(callback, name, self._timed(kind.__name__, getattr(callback, name)))

    def _timed(self, name: str, hook: Callable[..., None]) -> Callable[..., None]:
        def timed(*arguments: Any, **named: Any) -> None:
            start = time.process_time()
            hook(*arguments, **named)
            self.parts[name] += time.process_time() - start

        return timed


@contextmanager
def watched(clock: Clock) -> Iterator[None]:
    """Make the command line create callbacks that are timed, and none that tests."""

    def make(*arguments: Any, **named: Any) -> list[Callback]:
        made = default_callbacks(*arguments, **named)
        for callback in made:
            clock.watch(callback)
        return [*made, clock]

    with patch.object(training, "default_callbacks", make):
        yield


def measure(recipe: str, folder: Path) -> tuple[float, dict[str, float]]:
    """Run a recipe; return the seconds of CPU time of its training, and those of each callback."""
    data, epochs = RECIPES[recipe]
    clock = Clock()
    root = data_root(data) / data
    arguments = [
        *("--data.root", str(root), "--trainer.max_epochs", str(epochs), "--trainer.limit_test_batches", "0"),
        *("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"),
    ]
    before = Path.cwd()
    os.chdir(folder)
    try:
        with watched(clock), patch.object(sys, "argv", [recipe, *arguments]):
            runpy.run_path(str(ROOT / "recipes" / f"{recipe}.py"), run_name="__main__")
    finally:
        os.chdir(before)
    return clock.total, clock.parts


def main() -> int:
    """Measure each recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    options = parser.parse_args()
    setting()
    met = True
    for recipe in options.recipes:
        with tempfile.TemporaryDirectory() as folder:
            total, parts = measure(recipe, Path(folder))
        assert {"PredictionImages", "ConfusionImages", "WorstSamples", "PerClassTable"} <= set(parts)
        share = sum(parts.values()) / total
        met &= share <= TARGET
        single = ", ".join(
            f"{name} {seconds:.2f} s" for name, seconds in sorted(parts.items(), key=lambda part: -part[1])
        )
        verdict = "met" if share <= TARGET else "NOT MET"
        print(f"{recipe}: {share:.2%} of {total:.0f} s ({single}); target at most {TARGET:.0%}: {verdict}", flush=True)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
