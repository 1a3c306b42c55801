"""The notebooks: one for each task, committed without outputs, and run as they are."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from visiontasks.cli.choices import TASKS

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))
PAGE = NOTEBOOKS[0].with_name("index.md")


def code_of(notebook: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(notebook.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_every_task_has_a_notebook_that_the_page_lists() -> None:
    text = ["".join(line for cell in code_of(notebook) for line in cell["source"]) for notebook in NOTEBOOKS]
    for task in TASKS:
        named = [re.search(rf"\b{task.__name__}\b", one) for one in text]
        assert sum(found is not None for found in named) == 1, task
    assert all(f"({notebook.name})" in PAGE.read_text() for notebook in NOTEBOOKS)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_short_and_holds_no_outputs(notebook: Path) -> None:
    cells = code_of(notebook)
    assert len(cells) <= 8
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_pictures(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]))
    book = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(book, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output.get("data", {}) for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    # The data before the training, and the predictions after it.
    assert len([data for data in shown if "image/png" in data]) == 2
    assert (tmp_path / "runs" / notebook.stem / "version_0" / "predictions" / "test.png").exists()
