"""benchmarks/gpu.py runs to its end where there is no GPU, and says what it left out."""

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401 - a module
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("gpu_report")


def run(*arguments: str, output: Path) -> list[list[str]]:
    """Run the benchmark on the CPU, and return the cells of its table."""
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--device", "cpu", "--tiny", "--output", str(output)]
    environment = os.environ | {"JAXTYPING_DISABLE": "1"}
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr + done.stdout
    text = output.read_text()
    assert done.stdout == text
    head, *_ = text.splitlines()
    assert "tiny: figures mean nothing, torch 2." in head
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")][2:]


def test_parts_are_chosen_by_name(tmp_path: Path) -> None:
    rows = run("--only", "loader", "steps of classification: float32", output=tmp_path / "a.md")
    assert [row[0] for row in rows] == ["loader", "loader", "steps", "memory"]
    ratio = rows[2]
    assert ratio[3] == "at least 1.2"
    assert ratio[4] in ("met", "not met")


@pytest.mark.slow
def test_every_part_runs(tmp_path: Path) -> None:
    rows = run(output=tmp_path / "all.md")
    parts = {row[0] for row in rows}
    assert parts == {"tests", "steps", "memory", "device busy", "where its time goes", "MNIST", "loader", "evaluation"}
    assert not [row for row in rows if row[-1] == "failed"]
    for words in ("Faster R-CNN", "U-Net", "compiled", "foreach", "float32"):
        assert any(words in row[1] for row in rows), words


def test_what_does_not_fit_and_what_fails_has_a_row(report: Any) -> None:  # noqa: ANN401 - a module
    def broken() -> list[Any]:
        message = "out of memory\nand more"
        raise RuntimeError(message)

    said: list[str] = []
    parts = [
        report.Part("long", 60, lambda: [report.Row("long", "", "1")]),
        report.Part("broken", 1, broken),
        report.Part("short", 1, lambda: [report.judged("short", "rate", 120.0, " images/s", 100, 200)]),
    ]
    rows = report.run_parts(parts, 30, time.monotonic(), says=said.append)
    assert [row.verdict for row in rows] == ["skipped", "failed", "met"]
    assert rows[0].found == "dropped: needs 60 s, 30 s of the budget are left"
    assert rows[1].found == "RuntimeError: out of memory"
    assert rows[2][2:4] == ("120 images/s", "at least 100 images/s, aim 200")
    assert said[0] == "broken ..."
    table = report.table(rows, "a device", 12.0)
    assert "| long |  | dropped: needs 60 s" in table


def test_what_a_bare_image_lacks_is_listed(report: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401 - a module
    wheels = report.required_wheels()
    names = [line.partition(">")[0] for line in wheels]
    assert {"torchvision", "lightning", "jsonargparse[signatures]", "pytest", "beartype"} <= set(names)
    assert "torch" not in names
    assert report.missing_wheels() == []
    version = report.version

    def without_torchvision(name: str) -> str:
        if name == "torchvision":
            raise report.PackageNotFoundError
        return str(version(name))

    monkeypatch.setattr(report, "version", without_torchvision)
    assert [line.partition(">")[0] for line in report.missing_wheels()] == ["torchvision"]
