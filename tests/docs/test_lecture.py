"""The page of the lecture: each script has its results, and those without a training are equal when made again."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "understand" / "results"
PAGE = (ROOT / "docs" / "understand" / "lecture.md").read_text()
SCRIPTS = {path.stem for path in (ROOT / "recipes" / "lecture").glob("*.py")} - {"short_training"}
EXACT = {"matrix_product", "receptive_field", "fused_objects"}


def run(script: str, output: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, str(ROOT / "recipes" / "lecture" / f"{script}.py"), "--output", str(output), *options]
    environment = {**os.environ, "JAXTYPING_DISABLE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=output, env=environment)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads((output / f"{script}.json").read_text())
    return result


def stored(script: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{script}.json").read_text())
    return result


def test_every_script_has_its_results_on_the_page() -> None:
    assert set(re.findall(r"^```\{lecture-results\} (\w+)$", PAGE, re.MULTILINE)) == SCRIPTS
    assert {path.stem for path in RESULTS.glob("*.json")} == SCRIPTS


@pytest.mark.parametrize(
    ("script", "column"), re.findall(r"^```{lecture-results} (\w+)\n:bars: (.+)$", PAGE, re.MULTILINE)
)
def test_a_chart_has_a_bar_for_each_row(script: str, column: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "_extensions")
    extension: Any = importlib.import_module("lecture_results")
    tables = [table for table in stored(script)["tables"] if column in table["columns"]]
    assert tables
    for table in tables:
        bars = extension.bars_of(table, column)
        assert len({bar.name for bar in bars}) == len(table["rows"])
        for bar, row in zip(bars, table["rows"], strict=True):
            mean, least, greatest = re.findall(r"[\d.]+", row[table["columns"].index(column)])
            assert (bar.mean, bar.least, bar.greatest) == (float(mean), float(least), float(greatest))
            assert bar.least <= bar.mean <= bar.greatest
        drawn = extension.chart("a < b", bars)
        assert drawn.count("<rect") == drawn.count("<path") == len(bars)
        assert "a &lt; b" in drawn


@pytest.mark.parametrize("script", sorted(EXACT))
def test_what_needs_no_training_is_equal_when_it_is_made_again(script: str, tmp_path: Path) -> None:
    # The last column of the matrix product is rounding, which differs between processors.
    def exact(result: dict[str, Any]) -> list[Any]:
        return [[row[:4] for row in table["rows"]] for table in result["tables"]]

    assert exact(run(script, tmp_path)) == exact(stored(script))


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(SCRIPTS - EXACT))
def test_a_fast_run_makes_tables_of_the_same_rows(script: str, tmp_path: Path) -> None:
    made, kept = run(script, tmp_path, "--fast", "--seeds", "0"), stored(script)
    for found, expected in zip(made["tables"], kept["tables"], strict=True):
        assert found["columns"] == expected["columns"]
        assert [row[0] for row in found["rows"]] == [row[0] for row in expected["rows"]]
