"""The search for a learning rate and a batch size on the command line."""

import re
import tempfile
from pathlib import Path

import pytest

from visiontasks.cli import main
from visiontasks.cli.training import TrainingCLI
from visiontasks.cli.tune import suggest_rate

SMALL = (
    "--data.train_size 64 --data.val_size 8 --data.batch_size 4 --data.image_size [24,24] "
    "--model.backbone_options.filters [8,8,8] --model.backbone_options.depth 1 "
    "--trainer.accelerator cpu --trainer.enable_progress_bar false --trainer.enable_model_summary false"
)
DETECTION = "--model DetectionTask --data.task detection --model.fpn_width 8 --model.head_width 8 "


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own, with one for temporary files in it."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


@pytest.mark.parametrize("task", ["", pytest.param(DETECTION, marks=pytest.mark.slow)])
def test_what_is_found_is_printed_as_flags_of_fit(task: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = f"{task}{SMALL} --model.optimizer SGD --model.optimizer.lr 1e-5 --model.optimizer.momentum 0.9"
    assert main(["tune", *flags.split(), "--find", "both", "--max_batch_size", "16", "--steps", "60"]) == 0
    printed = capsys.readouterr().out
    assert "Batch size: 16 fits; larger ones were not tried; so far it is 4." in printed
    found = re.search(r"^Suggested: --data.batch_size 16 --model.optimizer.lr (\S+)$", printed, re.MULTILINE)
    assert found is not None, printed
    assert 1e-5 < float(found[1]) < 1
    assert [path.name for path in folder.rglob("*")] == ["temporary"], "nothing is left"
    suggested = found[0].partition(": ")[2]
    cli = TrainingCLI("fit", [*flags.split(), *suggested.split(), "--trainer.max_epochs", "1", "--shown", "[]"])
    cli.run()
    assert cli.trainer.optimizers[0].param_groups[0]["initial_lr"] == float(found[1])
    assert cli.trainer.global_step == 4


def test_the_default_optimiser_takes_the_suggestion(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", *SMALL.split(), "--steps", "40", "--max_lr", "0.1"]) == 0
    found = re.search(r"^Suggested: --model.optimizer.lr (\S+)$", capsys.readouterr().out, re.MULTILINE)
    assert found is not None
    cli = TrainingCLI("fit", [*SMALL.split(), "--model.optimizer.lr", found[1]])
    assert cli.model.lr == float(found[1])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--ckpt_path some.ckpt --model ClassificationTask", "takes no --ckpt_path"),
        ("--min_lr 1 --max_lr 0.1", "expected 0 < min_lr < max_lr"),
        ("--steps 5", "--steps 5 .* at least 20 steps"),
        ("--max_batch_size 0", "a size of at least 1"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    flags: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", *SMALL.split(), *flags.split()]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_loss_that_does_not_fall_gives_no_suggestion(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", *SMALL.split(), "--min_lr", "1e-20", "--max_lr", "1e-19", "--steps", "20"]) == 1
    assert "No learning rate is suggested: the loss did not fall." in capsys.readouterr().out
    assert suggest_rate([1.0] * 30, [float(step) for step in range(30)]) is None
