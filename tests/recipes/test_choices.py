"""What each recipe asks for, without training: its names are known, and it is as its first lines say."""

import ast
import re
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from visiontasks import COCODataModule, LocalizationTask, ShapesDataModule, Task, VisionDataModule, VOCDataModule
from visiontasks.cli import training
from visiontasks.cli.training import TrainingCLI

RECIPES = Path(__file__).parents[2] / "recipes"
NAMES = sorted(path.stem for path in RECIPES.glob("*.py") if "run_recipe" in path.read_text())


class Asked(NamedTuple):
    """What a recipe runs."""

    name: str
    task: type[Task]
    data: type[VisionDataModule]
    choices: Mapping[str, Any]
    arguments: Sequence[str] | None = None


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a folder of its own."""
    monkeypatch.chdir(tmp_path)


def asked_by(recipe: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Asked:
    """Start a recipe that runs nothing; return what it would run."""
    asked: list[Asked] = []
    monkeypatch.setattr(training, "run_recipe", lambda *given: asked.append(Asked(*given)))
    monkeypatch.setattr(sys, "argv", [f"{recipe}.py", *arguments])
    runpy.run_path(str(RECIPES / f"{recipe}.py"), run_name="__main__")
    (one,) = asked
    return one


class Parsing(TrainingCLI):
    """Reads the flags and creates nothing."""

    def instantiate_classes(self) -> None:
        """Create nothing."""


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def plain(value: Any) -> Any:  # noqa: ANN401 - nested lists
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("recipe", NAMES)
def test_every_choice_is_an_argument_that_a_flag_may_change(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asked_by(recipe, monkeypatch)
    assert asked.name == recipe
    root = [] if asked.data is ShapesDataModule else ["--data.root", "somewhere"]
    words = [*root, "--trainer.max_epochs", "3", "--trainer.accelerator", "cpu"]
    config = Parsing(asked.name, words, asked.task, asked.data, asked.choices).config.as_dict()
    callbacks = config["trainer"].pop("callbacks")
    parsed = flat(config) | {"trainer.callbacks": callbacks}
    assert parsed["trainer.max_epochs"] == 3
    for key, value in asked.choices.items():
        if key not in ("trainer.max_epochs", "trainer.callbacks"):
            for name, expected in flat({key: value}).items():
                assert plain(parsed[name]) == plain(expected), name
        elif key == "trainer.callbacks":
            assert [entry["class_path"] for entry in callbacks] == [entry["class_path"] for entry in value]


@pytest.mark.parametrize("recipe", NAMES)
def test_the_first_lines_say_how_long_it_trains(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = ast.get_docstring(ast.parse((RECIPES / f"{recipe}.py").read_text())) or ""
    choices = asked_by(recipe, monkeypatch, "--data.root", "somewhere").choices
    for epochs in re.findall(r"(\d+) epochs", text):
        assert int(epochs) == choices["trainer.max_epochs"]
    validated = choices.get("trainer.check_val_every_n_epoch", 1)
    # The last epoch is validated, so that it may be the best.
    assert choices["trainer.max_epochs"] % validated == 0


def test_the_1x_schedule_is_that_of_its_first_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    choices = asked_by("coco_detection", monkeypatch).choices
    # 90,000 steps of 16 images on 8 processes, learning rate 0.02, a tenth from step 60,000 and 80,000.
    assert choices["trainer.max_steps"] == 90_000
    assert choices["trainer.max_epochs"] == -1
    assert 8 * choices["data.batch_size"] == 16
    assert choices["model.optimizer"]["init_args"]["lr"] == 0.02
    assert choices["model.lr_scheduler"]["init_args"] == {"milestones": [60_000, 80_000], "gamma": 0.1}
    assert choices["model.lr_interval"] == "step"


def test_data_of_another_form_are_chosen_by_a_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = asked_by("localization", monkeypatch)
    cards = asked_by("localization", monkeypatch, "--data.root=cards")
    assert (shapes.task, shapes.data, cards.data) == (LocalizationTask, ShapesDataModule, VOCDataModule)
    assert (shapes.choices["trainer.max_epochs"], cards.choices["trainer.max_epochs"]) == (12, 300)
    coco = asked_by("bccd_detection", monkeypatch, "--data.root", "cells")
    voc = asked_by("bccd_detection", monkeypatch, "--voc", "--data.root", "cells")
    assert (coco.data, voc.data) == (COCODataModule, VOCDataModule)
    assert coco.arguments == voc.arguments == ["--data.root", "cells"]
    assert coco.choices == {**voc.choices, "data.images": "VOCdevkit/VOC2007/JPEGImages"}
