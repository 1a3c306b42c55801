"""The help of commands with many flags: what everyone uses comes first, and nothing is missing."""

import argparse
import contextlib
import io
import re
from pathlib import Path
from typing import Any, Literal

import pytest

from visiontasks.cli import help as pages
from visiontasks.cli import main
from visiontasks.cli.choices import DATA_MODULES, TASKS
from visiontasks.cli.hints import arguments_of
from visiontasks.tasks.task import Task

TITLES = [
    "what everyone uses",
    "data of",
    "model of",
    "optimiser and schedule",
    "run and logging",
    "Trainer of Lightning",
]


def printed_by(*words: str) -> str:
    stream = io.StringIO()
    with pytest.raises(SystemExit) as exit_, contextlib.redirect_stdout(stream):
        main(words)
    assert exit_.value.code in (0, None)
    return stream.getvalue()


@pytest.fixture(scope="module")
def of_fit() -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        return printed_by("fit", "--data", "MNISTDataModule", "--help")


def section(text: str, title: str) -> str:
    (found,) = [part for part in text.split("\n\n") if part.startswith(title)]
    return found


def test_what_everyone_uses_is_on_the_first_screen(of_fit: str) -> None:
    lines = of_fit.splitlines()
    assert lines[0] == "usage: visiontasks fit [--FLAG VALUE ...]"
    short = section(of_fit, "what everyone uses").splitlines()
    assert short[-1] in lines[:28]
    flags = [line.split()[0].lstrip("-") for line in short if line.startswith("  --")]
    assert of_fit.count("usage:") == 1
    assert flags == [name for name in pages.TRAINS if name != "data.image_size"]  # that of MNIST's images is given
    assert max(map(len, lines)) <= 80
    described = " ".join(section(of_fit, "what everyone uses").split())
    assert "--data CLASS form of the data: MNISTDataModule is chosen; others: " in described
    assert all(kind.__name__ in described for kind in (*DATA_MODULES, *TASKS))


def test_groups_come_in_order_and_the_trainer_last_and_short(of_fit: str) -> None:
    places = [of_fit.index(f"\n\n{title}") for title in TITLES]
    assert places == sorted(places)
    trainer = section(of_fit, "Trainer of Lightning").splitlines()[1:]
    assert "  --trainer.max_epochs null" in trainer
    assert "  --trainer.logger RunLogger" in trainer
    assert all(re.fullmatch(r"  --trainer\.\w+ \S+", line) for line in trainer)
    assert len(of_fit.splitlines()) < 400


def test_every_argument_has_a_place(of_fit: str) -> None:
    after = of_fit[of_fit.index("\n\ndata of") :]
    listed = re.findall(r"^  (?:-c, )?--([\w.]+)", after, re.MULTILINE)
    assert len(listed) == len(set(listed))
    owners = {
        "data": DATA_MODULES[[kind.__name__ for kind in DATA_MODULES].index("MNISTDataModule")],
        "model": TASKS[0],
    }
    expected = {f"{key}.{name}" for key, kind in owners.items() for name in arguments_of(kind)}
    # Both are taken from the data, and refused as flags.
    assert expected - set(listed) == {"model.num_classes", "model.in_channels"}
    assert {"config", "seed_everything", "ckpt_path", "run", "runs", "wandb", "compile", "shown"} <= set(listed)


def test_what_is_named_exists() -> None:
    arguments = {f"data.{name}" for kind in DATA_MODULES for name in arguments_of(kind)}
    arguments |= {f"model.{name}" for kind in TASKS for name in arguments_of(kind)}
    for name in (*pages.TRAINS, *pages.SCORES, *pages.READS):
        if name.startswith(("data.", "model.")) and name != "model.optimizer.lr":
            assert name in arguments
        assert name in pages._IN_SHORT
    assert set(pages._OF_SCHEDULE) <= arguments_of(Task)


def test_texts_are_plain_and_values_short(of_fit: str) -> None:
    assert not re.search(r":\w+:`|``|Literal|Union|Optional|class_path", of_fit)
    optimiser = " ".join(section(of_fit, "optimiser and schedule").split())
    assert "(Optimizer, default: AdamW with lr 0.001, weight_decay 0.05; known: Adafactor, " in optimiser
    assert re.search(r"--model.lr_interval [^()]*\(epoch \| step, default: epoch\)", optimiser)
    assert "known" not in section(of_fit, "model of")


def test_all_of_the_trainer_is_described_when_asked_for() -> None:
    printed = " ".join(printed_by("fit", "--trainer.help").split())
    assert "--trainer.max_epochs Stop training once this number of epochs is reached." in printed
    known = printed.partition("--trainer.callbacks ")[2].partition("--trainer.")[0]
    assert "EarlyStopping" in known
    assert "Preparation" not in known
    assert "--data" not in printed


def test_commands_that_score_or_read_begin_with_what_they_need() -> None:
    scored = section(printed_by("test", "--help"), "what everyone uses")
    assert [line.split()[0].lstrip("-") for line in scored.splitlines() if line.startswith("  --")] == [*pages.SCORES]
    assert re.search(r"--ckpt_path PATH +Checkpoint or run folder to score$", scored, re.MULTILINE)
    read = printed_by("check", "--help")
    assert read.index("--data.root FOLDER") < read.index("--quick") < len(read)
    assert "trainer" not in read.replace("trainer.default", "")


def test_a_recipe_shows_its_choices(capsys: pytest.CaptureFixture[str]) -> None:
    from visiontasks import ClassificationTask, ShapesDataModule
    from visiontasks.cli.training import run_recipe

    choices = {"data.batch_size": 7, "trainer.max_epochs": 3, "model.pool": "max"}
    with pytest.raises(SystemExit):
        run_recipe("mine", ClassificationTask, ShapesDataModule, choices, ["--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "Images per training batch and process. (int, default: 7)" in printed
    assert "(average | max, default: max)" in printed
    assert "--trainer.max_epochs 3" in printed
    assert "--data CLASS" not in printed


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (int, "int"),
        (str | None, "text | null"),
        (tuple[int, int], "[int, int]"),
        (list[Literal["a", "b"]], "list of a | b"),
        (dict[str, Any], "dict"),
        (str | Path, "text | file"),
    ],
)
def test_a_type_is_named_in_short(kind: Any, expected: str) -> None:  # noqa: ANN401 (a form of a type)
    assert pages.kind_of(argparse.Action(["--a"], "a", type=kind)) == expected


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (0.5, "0.5"),
        ("x", "x"),
        ({"class_path": "a.B", "init_args": {"c": 1}}, "B with c 1"),
    ],
)
def test_a_default_is_written_as_a_value(default: Any, expected: str) -> None:  # noqa: ANN401 (any value)
    assert pages.default_of(argparse.Action(["--a"], "a", default=default)) == expected
