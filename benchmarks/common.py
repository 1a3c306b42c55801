"""Side-by-side measurement: alternating rounds in one process, medians, a target and a verdict."""

import gc
import os
import platform
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

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
        target: Least ratio ours / theirs.

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


def mnist_root() -> Path:
    """Find the folder that holds ``MNIST/raw``.

    Raises:
        SystemExit: If the variable VISIONTASKS_DATA does not name one; the benchmark is skipped.
    """
    root = Path(os.environ.get("VISIONTASKS_DATA", ""))
    if not (root / "MNIST" / "raw").is_dir():
        print("skipped: set VISIONTASKS_DATA to a folder that holds MNIST/raw.")
        raise SystemExit(0)
    return root


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []
