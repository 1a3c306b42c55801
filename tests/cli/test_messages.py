"""Wrong values, as a user types them: what is said is what was expected."""

from pathlib import Path

import pytest

from visiontasks.cli import main
from visiontasks.cli.messages import innermost
from visiontasks.cli.training import TrainingCLI

FOLDER = "fit --data FolderDataModule --data"

MESSAGES = {
    f"{FOLDER}.image_size big": "--data.image_size big: expected int or [int, int] or null.",
    f"{FOLDER}.image_size [224]": "--data.image_size [224]: expected int or [int, int] or null.",
    f"{FOLDER}.image_size [224,a]": "--data.image_size [224, 'a']: expected int or [int, int] or null.",
    f"{FOLDER}.image_size 0": "image_size is 0; expected pixels, at least 1: one number for a square",
    f"{FOLDER}.fractions [1,2]": "--data.fractions [1, 2]: expected tuple with 3 elements.",
    "fit --model.optimizer.lr high": "--model.optimizer.lr high: expected float.",
    "fit --model.optimizer SGD --model.optimizer.momentum high": "--model.optimizer.momentum high: expected float.",
    "fit --model.class_weights 3": "--model.class_weights 3: expected sequence of float or 'balanced' or null.",
    "fit --model SegmentationTask --model.loss.dice x": "--model.loss.dice x: expected dict of str, float.",
    "fit --trainer.precision 15": "--trainer.precision 15: unknown. Known: '16', '16-mixed', '16-true', '32'",
    "fit --trainer.limit_train_batches x": "--trainer.limit_train_batches x: expected int or float or null.",
    "fit --trainer.callbacks EarlyStopping": "--trainer.callbacks EarlyStopping: give --trainer.callbacks.monitor.",
    "fit --trainer.callbacks EarlyStopping --trainer.callbacks.monitor val/loss --trainer.callbacks.patience x": (
        "--trainer.callbacks.patience x: expected int."
    ),
    "fit --trainer.logger CSVLogger --trainer.logger.foo 3": ("--trainer.logger.foo: CSVLogger has no argument 'foo'."),
    "fit --trainer.logger CometLogger": "CometLogger: Requirement 'comet-ml",
    "fit --zebra 3": "There is no option '--zebra'. Known: '--ckpt_path', '--collective_timeout', '--compile'",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a folder of its own."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", MESSAGES)
def test_a_wrong_value_says_what_was_expected(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.split()) == 2
    printed = capsys.readouterr().err
    said = printed[printed.index("error: ") :]
    assert said.startswith(f"error: {MESSAGES[command]}")
    assert said.count("\n") == 1
    assert len(said) < 500


def test_of_several_refusals_that_of_the_class_is_kept() -> None:
    assert innermost("no such form") == "no such form"
    text = "Problem with given class_path 'a.B':\n    one line\n    and another\n  - Expected a <class 'bool'>\n"
    assert innermost(f"Errors:\n  - Expected a list\n  - {text}Given value: 3") == "B: one line and another"
    own = "Errors:\n  - a bug\n    of my own\n  - Expected a <class 'NoneType'>\nGiven value: Namespace()"
    assert innermost(own).split() == ["a", "bug", "of", "my", "own"]


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("limit_train_batches", "1", 1),
        ("limit_train_batches", "1.0", 1.0),
        ("limit_val_batches", "2", 2),
        ("overfit_batches", "1", 1),
        ("val_check_interval", "1", 1),
        ("limit_test_batches", "0.5", 0.5),
    ],
)
def test_a_whole_number_counts_batches_and_a_fraction_is_a_share(flag: str, value: str, expected: float) -> None:
    given = TrainingCLI("fit", [f"--trainer.{flag}", value]).config.trainer[flag]
    assert given == expected
    assert type(given) is type(expected)


def test_one_batch_is_trained_on() -> None:
    size = "--data.image_size 24 --data.train_size 24 --data.val_size 8 --data.batch_size 8"
    quick = "--trainer.max_epochs 1 --trainer.enable_progress_bar false --trainer.accelerator cpu --shown []"
    cli = TrainingCLI("fit", f"{size} {quick} --trainer.limit_train_batches 1".split())
    cli.run()
    assert cli.datamodule.image_size == (24, 24)
    assert cli.trainer.global_step == 1
