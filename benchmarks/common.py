"""Side-by-side measurement: alternating rounds in one process, medians, a target and a verdict."""

import gc
import json
import math
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch
import torch

from visiontasks.cli.hardware import keep_freed_memory

THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))


def alternate(sides: Mapping[str, Callable[[], float]], rounds: int = 5) -> dict[str, list[float]]:
    """Run each side in turn, one unmeasured round first, and collect what each returns (samples per second).

    Args:
        sides: What to measure, by name.
        rounds: Measured rounds.

    Returns:
        The figures of each side, in the order of the rounds.
    """
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for measured in range(rounds + 1):
        for name, side in sides.items():
            gc.collect()
            value = side()
            if measured:
                figures[name].append(value)
    return figures


def report(title: str, figures: Mapping[str, list[float]], ours: str, theirs: str, target: float) -> bool:
    """Print the medians, the median of the rounds' ratios, the target and the verdict.

    Args:
        title: What was measured.
        figures: What :func:`alternate` returned.
        ours: Name of our side.
        theirs: Name of the other.
        target: Minimum ratio ours / theirs.

    Returns:
        Whether the target was met.
    """
    print(f"\n{title}")
    for name, values in figures.items():
        print(f"  {name:<44} {statistics.median(values):>12,.0f} samples/s  ({min(values):,.0f} to {max(values):,.0f})")
    ratios = [own / other for own, other in zip(figures[ours], figures[theirs], strict=True)]
    ratio = statistics.median(ratios)
    met = ratio >= target
    verdict = "met" if met else "NOT MET"
    print(f"  ratio {ratio:.3f} ({min(ratios):.3f} to {max(ratios):.3f}), target at least {target}: {verdict}")
    return met


def setting() -> None:
    """Fix the threads, keep freed memory as the command line does, and print what the figures were measured on."""
    torch.set_num_threads(THREADS)
    keep_freed_memory()
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if "model name" in line), platform.machine()
    )
    versions = f"torch {torch.__version__}, lightning {lightning.pytorch.__version__}"
    print(f"{cpu}, {os.cpu_count()} cores, {THREADS} threads, {versions}")


def run_recipe(name: str, arguments: Sequence[str], folder: str) -> tuple[dict[str, float], float]:
    """Run a recipe to its end, as a process of its own.

    Args:
        name: Its file's name in recipes/, without suffix.
        arguments: Its command line.
        folder: Where its files go.

    Returns:
        The test metrics that it printed, without the prefix ``test/``, and its CPU time in seconds, which does not
        depend on other running programs.
    """
    recipe = Path(__file__).parents[1] / "recipes" / f"{name}.py"
    command = [sys.executable, str(recipe), *arguments, "--trainer.enable_progress_bar", "false"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"
        raise SystemExit(message)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {name: float(value) for name, value in re.findall(r"test/(\S+)\s+([\d.]+)", done.stdout)}
    return found, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def recorded(file: Path | None) -> dict[tuple[Any, ...], Any]:
    """Read what earlier runs of a benchmark wrote by :func:`record`."""
    if file is None or not file.exists():
        return {}
    return {tuple(key): rows for key, rows in map(json.loads, file.read_text().splitlines())}


def record(file: Path | None, key: tuple[Any, ...], value: Any) -> None:
    """Add a result to a file, if there is one, so that a long benchmark can go on."""
    if file is not None:
        with file.open("a") as opened:
            print(json.dumps([key, value]), file=opened)


def half_cosine(optimizer: torch.optim.Optimizer, rate: float, share: float, warm_up: float = 0.0) -> None:
    """Set the learning rate of a run whose length is given in time.

    Args:
        optimizer: Whose rate to set.
        rate: Its highest.
        share: Fraction of the run that is over, 0 to 1.
        warm_up: Share of the run during which the rate rises.
    """
    rising = share / warm_up if warm_up else 1.0
    for group in optimizer.param_groups:
        group["lr"] = rate * min(rising, (1 + math.cos(math.pi * min(1.0, share))) / 2)


def data_root(name: str) -> Path:
    """Find the folder that holds the folder of a data set, such as ``MNIST/raw``.

    Raises:
        SystemExit: If the variable VISIONTASKS_DATA does not name one; the benchmark is skipped.
    """
    root = Path(os.environ.get("VISIONTASKS_DATA", ""))
    if not (root / name).is_dir():
        print(f"skipped: set VISIONTASKS_DATA to a folder that holds {name}.")
        raise SystemExit(0)
    return root


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
