"""Where the processor time of a training step goes, in each of five recipes.

A recipe trains on its real data as it stands, without validations. Time is that of the process on the processor,
counted where it is spent: what a part calls of another one counts for that. ``forward`` holds the losses, ``Lightning``
all that is left: its loops and hooks.

Command: VISIONTASKS_DATA=FOLDER python benchmarks/step_profile.py [--recipes localization bccd_detection] [--steps 30]
"""

import argparse
import os
import runpy
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from callbacks import RECIPES, ROOT
from common import data_root, setting
from lightning.pytorch.loops.fetchers import _PrefetchDataFetcher
from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.trainer import call

from visiontasks.tasks.task import Task

PARTS = ("forward", "backward", "optimiser", "loader", "metrics", "callbacks", "Lightning")
UNMEASURED = 5
"""Steps at the beginning, in which memory is allocated and kernels are chosen."""


class Clock:
    """Counts time for the part that is running, not for those that wait for it."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.running: list[str] = []
        self.since = time.process_time()
        self.steps = 0

    def switch(self) -> None:
        """Count the time since the last switch."""
        now = time.process_time()
        if self.running:
            self.spent[self.running[-1]] += now - self.since
        self.since = now

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Count a function's time for a part."""

        def run(*arguments: Any, **named: Any) -> Any:
            self.switch()
            self.running.append(part)
            try:
                return function(*arguments, **named)
            finally:
                self.switch()
                self.running.pop()

        return run

    def step(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Count steps; those at the beginning are forgotten."""

        def run(*arguments: Any, **named: Any) -> Any:
            self.steps += 1
            if self.steps == UNMEASURED + 1:
                self.switch()
                self.spent.clear()
            return function(*arguments, **named)

        return run


def measure(recipe: str, steps: int, folder: Path) -> Clock:
    """Run a recipe for some steps."""
    data, _ = RECIPES[recipe]
    clock = Clock()
    arguments = [
        *("--data.root", str(data_root(data) / data), "--trainer.max_steps", str(steps + UNMEASURED)),
        *("--trainer.limit_val_batches", "0", "--trainer.limit_test_batches", "0", "--trainer.max_epochs", "-1"),
        *("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"),
    ]
    kinds = [Task, *_subclasses(Task)]
    parts: list[tuple[Any, str, str]] = [
        (_FitLoop, "advance", "Lightning"),
        (_PrefetchDataFetcher, "__next__", "loader"),
        (Strategy, "training_step", "forward"),
        (Strategy, "backward", "backward"),
        (Strategy, "optimizer_step", "optimiser"),
        (call, "_call_callback_hooks", "callbacks"),
        *((kind, "update_metrics", "metrics") for kind in kinds if "update_metrics" in vars(kind)),
    ]
    before = Path.cwd()
    os.chdir(folder)
    try:
        with ExitStack() as stack:
            for owner, name, part in parts:
                stack.enter_context(patch.object(owner, name, clock.timed(part, getattr(owner, name))))
            # Inside the optimiser's step, whose closure computes the loss.
            stack.enter_context(patch.object(Strategy, "training_step", clock.step(Strategy.training_step)))
            stack.enter_context(patch.object(sys, "argv", [recipe, *arguments]))
            runpy.run_path(str(ROOT / "recipes" / f"{recipe}.py"), run_name="__main__")
    finally:
        os.chdir(before)
    assert clock.steps == steps + UNMEASURED
    return clock


def _subclasses(kind: type) -> list[type]:
    found: list[type] = kind.__subclasses__()
    return [*found, *(each for direct in found for each in _subclasses(direct))]


def main() -> int:
    """Measure each recipe, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--steps", type=int, default=30, help="that are measured (default: 30)")
    options = parser.parse_args()
    setting()
    print(f"| recipe | ms a step | {' | '.join(PARTS)} |\n| --- | --- |{' --- |' * len(PARTS)}")
    for recipe in options.recipes:
        with tempfile.TemporaryDirectory() as folder:
            clock = measure(recipe, options.steps, Path(folder))
        total = sum(clock.spent[part] for part in PARTS)
        assert set(clock.spent) <= set(PARTS)
        shares = " | ".join(f"{clock.spent[part] / total:.1%}" for part in PARTS)
        print(f"| {recipe} | {1000 * total / options.steps:.0f} | {shares} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
