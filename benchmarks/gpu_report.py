"""The rows of the table that gpu.py writes, what they were measured on, and the time that is left for more."""

import os
import platform
import re
import time
import tomllib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        part: Name of the part of the benchmark.
        what: What was measured.
        found: The figure, or why there is none.
        target: What was aimed at; empty for a figure without an aim.
        verdict: ``met``, ``not met``, ``skipped``, ``failed``, or empty.
    """

    part: str
    what: str
    found: str
    target: str = ""
    verdict: str = ""


class Part(NamedTuple):
    """A part of the benchmark.

    Attributes:
        name: Its name.
        seconds: How long it takes on a GPU; it is left out if less is left.
        run: Measures, and returns rows.
    """

    name: str
    seconds: float
    run: Callable[[], list[Row]]


def judged(part: str, what: str, value: float, unit: str, least: float, aim: float | None = None) -> Row:
    """Make a row of a figure with a minimum.

    Args:
        part: Name of the part.
        what: What was measured.
        value: The figure.
        unit: Its unit.
        least: The minimum.
        aim: A higher figure that is hoped for.
    """
    target = f"at least {least:g}{unit}" + (f", aim {aim:g}" if aim else "")
    return Row(
        part, what, f"{value:,.3g}{unit}" if value < 100 else f"{value:,.0f}{unit}", target, _verdict(value >= least)
    )


def _verdict(met: bool) -> str:
    return "met" if met else "not met"


def run_parts(parts: Sequence[Part], budget: float, started: float, *, says: Callable[[str], None]) -> list[Row]:
    """Run parts as long as there is time; one that fails has a row, and does not stop the others.

    Args:
        parts: The parts, the most important first.
        budget: Seconds for all of them.
        started: When the program started, by ``time.monotonic``.
        says: Is told what runs.
    """
    rows: list[Row] = []
    for part in parts:
        left = budget - (time.monotonic() - started)
        if left < part.seconds:
            text = f"dropped: needs {part.seconds:.0f} s, {max(0.0, left):.0f} s of the budget are left"
            rows.append(Row(part.name, "", text, verdict="skipped"))
            continue
        says(f"{part.name} ...")
        begun = time.monotonic()
        try:
            rows += part.run()
        except Exception as error:
            (text, *_) = str(error).strip().splitlines() or [""]
            rows.append(Row(part.name, "", f"{type(error).__name__}: {text[:200]}", verdict="failed"))
        says(f"{part.name}: {time.monotonic() - begun:.1f} s")
    return rows


def table(rows: Sequence[Row], device: str, seconds: float) -> str:
    """Write the rows as Markdown, under what they were measured on.

    Args:
        rows: The rows.
        device: Name of the device.
        seconds: How long all took.
    """
    versions = ", ".join(f"{name} {_version(name) or 'absent'}" for name in ("torch", "torchvision", "lightning"))
    lines = [
        f"## {datetime.now(UTC):%Y-%m-%d}, {device}, {versions}, Python {platform.python_version()}",
        "",
        f"`python benchmarks/gpu.py`, {seconds:.0f} s on a machine with {os.cpu_count()} cores.",
        "",
        "| part | what | found | target | verdict |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += ["| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def required_wheels() -> list[str]:
    """List the packages that are needed beside torch, and pytest, which runs the tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    tests = [
        line
        for line in project["optional-dependencies"]["dev"]
        if re.match(r"(pytest|pytest-randomly|beartype)>", line)
    ]
    return [line for line in (*project["dependencies"], *tests) if not line.startswith("torch>")]


def missing_wheels() -> list[str]:
    """List the packages that are needed and not installed."""
    return [line for line in required_wheels() if _version(re.split(r"[\[<>=]", line)[0]) is None]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
