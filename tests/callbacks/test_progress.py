"""What a training shows on a screen and in a file."""

import io
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, Timer

from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.callbacks import BestCheckpoint, RunProgress
from visiontasks.callbacks.progress import seconds_left
from visiontasks.callbacks.time_left import TimeLeft

SMALL: dict[str, Any] = {"backbone_options": {"filters": [4], "depth": 1}}


class Terminal(io.StringIO):
    """Takes what is written for a screen."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def show(make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Train three epochs of four batches, and return what was written."""

    def train(output: io.StringIO, *callbacks: Callback, **options: Any) -> str:  # noqa: ANN401 - of a Trainer
        monkeypatch.setattr(sys, "stdout", output)
        data = ShapesDataModule(train_size=16, val_size=8, image_size=(16, 16), batch_size=4)
        options = {"max_epochs": 3, "log_every_n_steps": 1, "enable_progress_bar": True, **options}
        path = options.pop("ckpt_path", None)
        trainer = make_trainer(callbacks=[RunProgress(), *callbacks], **options)
        trainer.fit(ClassificationTask(4, **SMALL), data, ckpt_path=path)
        return output.getvalue()

    return train


def test_a_file_gets_a_line_for_each_epoch_and_no_bars(show: Callable[..., str]) -> None:
    text = show(io.StringIO())
    number = r"\d\.\d{4}"
    values = rf"train/loss {number}, val/loss {number}, val/accuracy {number}, \d+ s"
    assert re.fullmatch("".join(rf"Epoch {epoch}: {values}\n" for epoch in range(3)), text)


def test_an_epoch_without_a_validation_has_no_values_of_one(show: Callable[..., str]) -> None:
    text = show(io.StringIO(), check_val_every_n_epoch=2, max_epochs=4)
    assert ["val/loss" in line for line in text.splitlines() if line.startswith("Epoch")] == [False, True, False, True]


def test_the_best_epoch_is_told(show: Callable[..., str]) -> None:
    text = show(io.StringIO(), BestCheckpoint("val/loss"), enable_checkpointing=True, max_epochs=1)
    assert re.search(r", best, \d+ s\n$", text)


def test_a_screen_gets_bars_with_the_time_left_in_all_and_the_same_lines(
    show: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visiontasks.callbacks.progress._REFRESHED", 0.0)
    text = show(Terminal())
    assert len(re.findall(r"Epoch \d: train/loss \d\.\d{4}, val/loss", text)) == 3
    bars = re.findall(r"Epoch (\d)/2(, [^:|]* left in all)?: +\d+%\|[^|]*\| (\d)/4 ", text)
    assert ("0", "", "1") in bars
    assert {(epoch, done) for epoch, left, done in bars if left} >= {("0", "2"), ("1", "1"), ("2", "4")}
    assert re.search(r"it/s, loss=\d", text)
    assert "v_num" not in text
    assert "val/loss=" not in text


def test_a_file_gets_a_line_a_minute_within_an_epoch(show: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visiontasks.callbacks.progress._NOTED", 0.0)
    text = show(io.StringIO(), EarlyStopping("val/loss", patience=9), max_epochs=2)
    assert "Epoch 0/1: batch 1 of 4\n" in text
    assert re.search(r"Epoch 1/1, up to \d s left in all: batch 3 of 4\n", text)
    assert "Validation: batch 1 of " in text


def test_bars_are_drawn_ten_times_a_second_at_most(show: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visiontasks.callbacks.progress._REFRESHED", 1e9)
    text = show(Terminal(), max_epochs=1)
    assert not re.search(r"\| [1-3]/4 ", text)
    assert re.search(r"\| 4/4 ", text)


def test_a_refresh_rate_of_zero_shows_nothing(make_trainer: Callable[..., Trainer], capsys: Any) -> None:  # noqa: ANN401
    data = ShapesDataModule(train_size=8, val_size=4, image_size=(16, 16), batch_size=4)
    trainer = make_trainer(callbacks=[RunProgress(0)], enable_progress_bar=True, max_epochs=1)
    trainer.fit(ClassificationTask(4, **SMALL), data)
    assert capsys.readouterr().out == ""


class Steady(TimeLeft):
    """Has seen batches of one second and no validation."""

    def __init__(self) -> None:
        super().__init__()
        self._batches.append([10.0, 10])


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, 6 + 2 * 10),
        ({"max_epochs": -1}, None),
        ({"max_steps": 4}, 4),
        ({"max_steps": 4, "accumulate_grad_batches": 2}, 8),
        ({"max_epochs": -1, "max_steps": 100, "num_training_batches": math.inf}, 100),
        ({"callbacks": [Callback(), "timer"]}, 7),
        ({"max_epochs": -1, "callbacks": ["timer"]}, 7),
    ],
)
def test_a_training_ends_by_epochs_or_steps_or_time(options: dict[str, Any], seconds: float | None) -> None:
    timer = Timer("00:00:01:00")
    timer.time_remaining = lambda *_: 7.0  # type: ignore[method-assign]  # as after 53 seconds
    known: dict[str, Any] = {
        "num_training_batches": 10, "max_epochs": 5, "current_epoch": 2, "max_steps": -1, "global_step": 0,
        "accumulate_grad_batches": 1, "num_val_batches": [], "check_val_every_n_epoch": 1, "callbacks": [],
    }  # fmt: skip
    known |= options
    known["callbacks"] = [timer if callback == "timer" else callback for callback in known["callbacks"]]
    assert seconds_left(Mock(Trainer, **known), Steady(), 4) == seconds


class _Stop(Callback):
    """Stops before the validation of an epoch, or after so many of its batches, as a signal does; saves before."""

    def __init__(self, file: Path, epoch: int, batch: int) -> None:
        self.file, self.where = file, (epoch, batch)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ANN401 - as in Lightning
        if (trainer.current_epoch, batch_idx) == self.where:
            trainer.save_checkpoint(self.file)
            raise KeyboardInterrupt


@pytest.mark.parametrize("batch", range(3))
@pytest.mark.parametrize("output", [io.StringIO, Terminal])
def test_a_training_that_goes_on_within_an_epoch_has_its_line(
    show: Callable[..., str], tmp_path: Path, batch: int, output: type[io.StringIO]
) -> None:
    file = tmp_path / "stopped.ckpt"
    with pytest.raises(SystemExit):
        show(output(), _Stop(file, 1, batch))
    text = show(output(), ckpt_path=file)
    assert re.findall(r"Epoch (\d): train/loss \d", text) == ["1", "2"]
