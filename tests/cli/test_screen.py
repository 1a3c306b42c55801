"""What the commands show on the screen, run as a user does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jsonargparse import Namespace
from lightning.pytorch.callbacks import Callback, ModelSummary, TQDMProgressBar

from visiontasks.cli.screen import screen_callbacks
from visiontasks.tasks.summary import TaskSummary

DATA = (
    "--trainer.accelerator cpu --data.image_size [16,16] --data.train_size 8 --data.val_size 8 --data.test_size 8 "
    "--data.batch_size 4 --shown []"
)
SMALL = DATA + ' --model.backbone_options {"filters":[4],"depth":1}'
ADVERTS = re.compile(r"tip:|litlogger|litmodels|wandb|⭐|🚀|lightning\.ai|TPU|upgrade", re.IGNORECASE)


def run(words: str, folder: Path) -> str:
    """Run a command, and return all that it writes."""
    done = subprocess.run(
        [sys.executable, "-m", "visiontasks", *words.split()],
        cwd=folder, check=False, capture_output=True, text=True, env={**os.environ, "WANDB_MODE": "disabled"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_run_shows_what_a_user_wants_to_know_and_no_adverts(tmp_path: Path) -> None:
    text = run(f"fit {SMALL} --trainer.max_epochs 3 --trainer.limit_train_batches 2", tmp_path)
    assert not ADVERTS.search(text)
    assert "it/s" not in text  # there is no bar in a file
    assert re.search(r"^total +\S+( k)? +\S+( k)? +[1-9]\S* k$", text, re.MULTILINE)
    assert re.findall(r"^Epoch (\d): train/loss \d\.\d{4}, val/loss", text, re.MULTILINE) == ["0", "1", "2"]
    table = re.search(r"^ +(best and last epoch \((\d)\)|best epoch \((\d)\)  last epoch \(2\))$", text, re.MULTILINE)
    assert table is not None
    best = table[2] or table[3]
    named = re.search(r"Best checkpoint: (\S+/epoch(\d)-val_accuracy(\d\.\d{4})\.ckpt)$", text, re.MULTILINE)
    assert named is not None
    assert named[2] == best
    assert re.search(rf"^  val/accuracy +{named[3]}\b", text, re.MULTILINE)
    scored = run(f"test --ckpt_path {named[1]} {DATA}", tmp_path)
    assert not ADVERTS.search(scored)


def names(trainer: Namespace, *given: Callback, evaluates: bool = False) -> list[str]:
    return [type(callback).__name__ for callback in screen_callbacks(trainer, given, evaluates)]


@pytest.mark.parametrize(
    ("given", "evaluates", "options", "expected"),
    [
        ([], False, {}, ["RunProgress", "TaskSummary"]),
        ([], True, {}, ["RunProgress"]),
        ([TQDMProgressBar()], False, {}, ["TaskSummary"]),
        ([ModelSummary()], False, {}, ["RunProgress"]),
        ([TaskSummary()], False, {}, ["RunProgress"]),
        ([], False, {"enable_progress_bar": False}, ["TaskSummary"]),
        ([], False, {"enable_model_summary": False}, ["RunProgress"]),
        ([], False, {"barebones": True}, []),
    ],
)
def test_a_user_turns_it_off_or_has_another(
    given: list[Callback], evaluates: bool, options: dict[str, bool], expected: list[str]
) -> None:
    trainer = Namespace(barebones=False, enable_progress_bar=None, enable_model_summary=None)
    trainer.update(Namespace(**options))
    assert names(trainer, *given, evaluates=evaluates) == expected
