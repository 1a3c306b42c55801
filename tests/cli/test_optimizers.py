"""Which optimiser trains, with whose options."""

import json
from pathlib import Path
from typing import Any

import pytest

from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.cli.optimizers import with_full_names
from visiontasks.cli.training import TrainingCLI

SGD_OF_A_RECIPE = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.07}}
DECAYED = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.1, "weight_decay": 0.3}}
JSON = '{"class_path":"SGD","init_args":{"lr":0.7}}'


class Parsed(Exception):
    """The command line was parsed, which is all that is wanted."""


class ParsingCLI(TrainingCLI):
    def before_instantiate_classes(self) -> None:
        raise Parsed(self.config.model)


def parsed(words: list[str], recipe: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - a namespace
    of_recipe = () if recipe is None else (ClassificationTask, ShapesDataModule, {"model.optimizer": recipe})
    with pytest.raises(Parsed) as raised:
        ParsingCLI("fit", words, *of_recipe)
    model = raised.value.args[0]
    return model.init_args if recipe is None else model


def optimizer_of(words: list[str], recipe: dict[str, Any] | None = None) -> tuple[Any, ...]:
    chosen = parsed(words, recipe).optimizer
    return chosen.class_path.rpartition(".")[2], chosen.init_args.lr, chosen.init_args.weight_decay


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", ("AdamW", 1e-3, 0.05)),
        ("--model.optimizer.lr 0.3", ("AdamW", 0.3, 0.05)),
        ("--model.optimizer AdamW --model.optimizer.lr 0.3", ("AdamW", 0.3, 0.05)),
        ("--model.optimizer SGD", ("SGD", 1e-3, 0.0)),
        ("--model.optimizer SGD --model.optimizer.lr 0.1", ("SGD", 0.1, 0.0)),
        ("--model.optimizer.lr 0.1 --model.optimizer SGD", ("SGD", 0.1, 0.0)),
        ("--model.optimizer=torch.optim.Adam --model.optimizer.lr=0.1", ("Adam", 0.1, 0.0)),
        ("--model.optimizer SGD --model.optimizer.weight_decay 0.05", ("SGD", 1e-3, 0.05)),
        ("--model SegmentationTask --model.optimizer Adam", ("Adam", 1e-3, 0.0)),
        ("--config DECAYED", ("AdamW", 0.1, 0.3)),
        ("--config DECAYED --model.optimizer AdamW --model.optimizer.lr 0.2", ("AdamW", 0.2, 0.3)),
        ("--config DECAYED --model.optimizer SGD --model.optimizer.lr 0.2", ("SGD", 0.2, 0.0)),
        ("--config RECIPE", ("SGD", 0.02, 0.07)),
        ("--config RECIPE --model.optimizer AdamW", ("AdamW", 1e-3, 0.05)),
        ("--config SHORT", ("SGD", 0.1, 0.0)),
        (f"--model.optimizer {JSON} --model.optimizer.weight_decay 0.1", ("SGD", 0.7, 0.1)),
    ],
)
def test_options_are_of_the_class_that_they_were_given_for(
    flags: str, expected: tuple[Any, ...], tmp_path: Path
) -> None:
    short = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}
    for name, optimizer in {"DECAYED": DECAYED, "RECIPE": SGD_OF_A_RECIPE, "SHORT": short}.items():
        model = {"class_path": "ClassificationTask", "init_args": {"optimizer": optimizer}}
        (tmp_path / f"{name}.yaml").write_text(json.dumps({"model": model}))
        flags = flags.replace(f"--config {name}", f"--config {tmp_path / name}.yaml")
    assert optimizer_of(flags.split()) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("", ("SGD", 0.02, 0.07)),
        ("--model.optimizer.lr 0.3", ("SGD", 0.3, 0.07)),
        ("--model.optimizer AdamW --model.optimizer.lr 0.3", ("AdamW", 0.3, 0.01)),
    ],
)
def test_options_of_a_recipe_are_of_its_optimizer(flags: str, expected: tuple[Any, ...]) -> None:
    assert optimizer_of(flags.split(), SGD_OF_A_RECIPE) == expected


def test_what_is_printed_is_what_would_train(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ParsingCLI("fit", ["--model.optimizer", "SGD", "--model.optimizer.lr", "0.1", "--print_config"])
    printed = capsys.readouterr().out
    assert "class_path: torch.optim.SGD" in printed
    assert "weight_decay: 0.0" in printed


def test_a_plateau_has_a_short_name() -> None:
    words = ["--model.lr_scheduler", "ReduceLROnPlateau", "--model.lr_scheduler.patience", "2"]
    schedule = parsed(words).lr_scheduler
    assert (schedule.class_path, schedule.init_args.patience) == ("torch.optim.lr_scheduler.ReduceLROnPlateau", 2)
    schedule = parsed(["--model.lr_scheduler=ReduceLROnPlateau", "--model.lr_scheduler.monitor", "val/f1"]).lr_scheduler
    assert (schedule.class_path, schedule.init_args.monitor) == ("lightning.pytorch.cli.ReduceLROnPlateau", "val/f1")
    untouched = ["--run", "ReduceLROnPlateau", "--model.lr_scheduler", "StepLR"]
    assert with_full_names(untouched) == untouched
