"""The list of recipes, and copies of them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from visiontasks.cli import main
from visiontasks.cli import recipes as command

RECIPES = Path(__file__).parents[2] / "recipes"


def test_every_recipe_is_listed_with_what_it_has_reached(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "--json"]) == 0
    listed = {recipe["name"]: recipe for recipe in json.loads(capsys.readouterr().out)}
    scripts = {path.stem for path in RECIPES.glob("*.py")}
    assert listed.keys() == scripts | {"cluster", "lecture", "search"}
    for name in scripts:
        assert listed[name]["files"] == [f"{name}.py"]
        assert listed[name]["summary"]
        assert listed[name]["hardware"], name
        assert listed[name]["metric"], name
    assert set(listed["cluster"]["files"]) == {f"cluster/{path.name}" for path in (RECIPES / "cluster").iterdir()}


def test_the_list_is_read_from_the_docstrings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "birds.py").write_text(
        '"""Tell birds\napart. Slowly.\n\nCommand: python birds.py\nHardware and time: a core,\nan hour.\n'
        'Metric: accuracy 0.5\n(seed 0: the first).\n\nMore: text.\n"""\nraise RuntimeError("is not run")\n'
    )
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "run.sh").write_text("#!/bin/sh\n# Run it\n# somewhere. Or not.\n\n# later\n")
    (tmp_path / "jobs" / "__pycache__").mkdir()
    (tmp_path / "__pycache__").mkdir()
    monkeypatch.setattr(command, "_folder", lambda: tmp_path)
    assert main(["recipes"]) == 0
    assert capsys.readouterr().out == (
        "birds\n  Tell birds apart.\n  Result: accuracy 0.5 (seed 0: the first).\n  On: a core, an hour.\n\n"
        "jobs\n  run.sh: Run it somewhere.\n\n"
        "'visiontasks recipes copy NAME' writes one to the folder recipes, to be run and changed there.\n"
        "With --fast each runs in under a minute on generated data: the whole way, with figures that mean nothing.\n"
    )


@pytest.mark.parametrize("name", ["quickstart", "quickstart.py", "cluster"])
def test_a_copy_is_the_recipe(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["recipes", "copy", name]) == 0
    copied = [path for path in (tmp_path / "recipes").rglob("*") if path.is_file()]
    originals = [RECIPES / path.relative_to(tmp_path / "recipes") for path in copied]
    assert originals
    for copy, original in zip(copied, originals, strict=True):
        assert copy.read_bytes() == original.read_bytes()
        assert os.access(copy, os.X_OK) == os.access(original, os.X_OK)


def test_a_copy_runs_by_the_command_that_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine"
    assert main(["recipes", "copy", "quickstart", "--output", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert f"python {folder / 'quickstart.py'};" in printed
    done = subprocess.run(
        [sys.executable, folder / "quickstart.py", "--help"],
        env={**os.environ, "JAXTYPING_DISABLE": "1", "PYTHONPATH": str(RECIPES.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--trainer.max_epochs" in done.stdout
    assert "--fast" in done.stdout


def test_what_is_there_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "recipes" / "cluster" / "train.slurm"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert main(["recipes", "copy", "cluster"]) == 2
    assert "'recipes/cluster/train.slurm' is there already; remove it, or" in capsys.readouterr().err
    assert mine.read_text() == "mine"
    assert list(mine.parent.iterdir()) == [mine]


def test_a_recipe_that_does_not_exist_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "copy", "quickstrat"]) == 2
    assert "there is no recipe 'quickstrat'. Did you mean 'quickstart'?" in capsys.readouterr().err


def test_an_installed_package_holds_its_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_PACKAGE", tmp_path / "visiontasks")
    (tmp_path / "recipes").mkdir()
    assert command._folder() == tmp_path / "recipes"
    (tmp_path / "visiontasks" / "recipes").mkdir(parents=True)
    assert command._folder() == tmp_path / "visiontasks" / "recipes"
