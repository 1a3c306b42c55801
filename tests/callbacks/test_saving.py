"""A training that goes on from any checkpoint ends like an undisturbed one."""

import csv
import os
import shutil
import signal
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch.optim import AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau

from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.callbacks import BestCheckpoint, LastCheckpoint, RunLogger
from visiontasks.callbacks.stopping import Interruption
from visiontasks.errors import ArgumentError, CheckpointError


class _Snapshots(LastCheckpoint):
    """Copies the run folder after each save, which is what a process leaves that is killed then."""

    def __init__(self, copies: Path, **options: Any) -> None:  # noqa: ANN401 - arguments of the base
        super().__init__(**options)
        self.copies = copies

    def _save(self, trainer: Trainer) -> None:
        super()._save(trainer)
        assert self.file is not None
        shutil.copytree(self.file.parents[1], self.copies / f"{len(list(self.copies.glob('*'))):03}")


def train(
    run: Path,
    copies: Path | None = None,
    ckpt_path: Path | None = None,
    **options: Any,  # noqa: ANN401 - of the Trainer
) -> tuple[ClassificationTask, Trainer]:
    """Train for some epochs of four batches; the last batch has two images."""
    seed_everything(0)
    plateau, callback, minutes = (options.pop(name, None) for name in ("plateau", "callback", "minutes"))
    schedule: Any = (lambda optimizer: ReduceLROnPlateau(optimizer, patience=0, factor=0.5)) if plateau else "cosine"
    task = ClassificationTask(
        4,
        backbone_options={"filters": [4], "depth": 1},
        optimizer=lambda p: AdamW(p, lr=0.01),
        lr_scheduler=schedule,
    )
    data = ShapesDataModule(train_size=11, val_size=5, image_size=(16, 16), batch_size=3, augmentation="default")
    last = LastCheckpoint() if copies is None else _Snapshots(copies, minutes=minutes or 0)
    trainer = Trainer(
        accelerator="cpu",
        logger=RunLogger(run.parent, run.name, version=""),
        callbacks=[BestCheckpoint("val/loss"), last, *([callback] if callback else [])],
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"log_every_n_steps": 1, "num_sanity_val_steps": 1, "max_epochs": 4, **options},
    )
    trainer.fit(task, datamodule=data, ckpt_path=ckpt_path)
    return task, trainer


def rows_of(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def assert_same(one: tuple[ClassificationTask, Trainer], other: tuple[ClassificationTask, Trainer]) -> None:
    for (name, value), found in zip(one[0].state_dict().items(), other[0].state_dict().values(), strict=True):
        assert torch.equal(value, found), name
    states = [trainer.optimizers[0].state_dict()["state"] for _, trainer in (one, other)]
    for index, state in states[0].items():
        assert all(torch.equal(value, states[1][index][name]) for name, value in state.items())
    first, second = (trainer.lr_scheduler_configs[0].scheduler.state_dict() for _, trainer in (one, other))
    assert {k: v for k, v in first.items() if k != "lr_lambdas"} == {
        k: v for k, v in second.items() if k != "lr_lambdas"
    }
    assert one[1].global_step == other[1].global_step
    assert one[1].current_epoch == other[1].current_epoch


def check_all_checkpoints(folder: Path, every: int, **options: Any) -> None:  # noqa: ANN401 - of the Trainer
    """Train, and train again from every so manyth checkpoint of that training, and from the last one."""
    copies = folder / "copies"
    copies.mkdir()
    whole = train(folder / "whole", copies, **options)
    saved = sorted(copies.glob("*"))
    assert len(saved) >= 8
    files = sorted(path.name for path in (folder / "whole" / "checkpoints").iterdir())
    for copy in {*saved[::every], saved[-1]}:
        rest = train(copy, ckpt_path=copy / "checkpoints" / "last.ckpt", **options)
        if copy != saved[-1]:  # Lightning does not begin a training that has ended
            assert_same(whole, rest)
        assert sorted(path.name for path in (copy / "checkpoints").iterdir()) == files, copy.name
        assert rows_of(copy) == rows_of(folder / "whole"), copy.name


FORMS: list[dict[str, Any]] = [
    {"plateau": True, "val_check_interval": 0.5},
    {"max_steps": 14},
    {"check_val_every_n_epoch": 2},
    {"max_steps": 16, "max_epochs": -1, "plateau": True},
    {"accumulate_grad_batches": 3},
    {"limit_val_batches": 0},
    {},
]


@pytest.mark.filterwarnings("ignore:.ModelCheckpoint.* could not find the monitored key")
@pytest.mark.parametrize("options", FORMS[:2], ids=str)
def test_it_ends_alike_from_some_checkpoints(options: dict[str, Any], tmp_path: Path) -> None:
    check_all_checkpoints(tmp_path, every=5, **options)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.ModelCheckpoint.* could not find the monitored key")
@pytest.mark.parametrize("options", FORMS, ids=str)
def test_it_ends_alike_from_every_checkpoint(options: dict[str, Any], tmp_path: Path) -> None:
    check_all_checkpoints(tmp_path, every=1, **options)


class _Signal(Callback):
    """Sends a signal to this process, at the end of a batch of training or validation."""

    def __init__(self, stage: str, signum: int) -> None:
        self.stage, self.signum = stage, signum

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:  # noqa: ANN401 - as in Lightning
        if self.stage == "training" and trainer.global_step == 6:
            os.kill(os.getpid(), self.signum)

    def on_validation_batch_end(self, trainer: Trainer, *args: Any) -> None:  # noqa: ANN401 - as in Lightning
        if self.stage == "validation" and trainer.global_step == 8:
            os.kill(os.getpid(), self.signum)


@pytest.mark.parametrize(
    ("stage", "signum", "code"),
    [("training", signal.SIGTERM, 143), ("validation", signal.SIGUSR1, 138), ("validation", signal.SIGINT, 130)],
)
def test_it_goes_on_after_a_signal(
    stage: str, signum: int, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = train(tmp_path / "whole")
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
    with pytest.raises(Interruption) as stopped:
        train(tmp_path / "stopped", callback=_Signal(stage, signum))
    assert stopped.value.code == code
    last = tmp_path / "stopped" / "checkpoints" / "last.ckpt"
    assert f"Stopped by {signal.Signals(signum).name}; the checkpoint is {last}. Go on" in capsys.readouterr().out
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)] == handlers
    rest = train(tmp_path / "stopped", ckpt_path=last)
    assert_same(whole, rest)
    assert rows_of(tmp_path / "stopped") == rows_of(tmp_path / "whole")


def test_the_best_checkpoint_and_its_score_are_remembered_in_a_moved_folder(tmp_path: Path) -> None:
    _, trainer = train(tmp_path / "first", max_epochs=2)
    best = trainer.checkpoint_callback
    assert isinstance(best, BestCheckpoint)
    shutil.move(tmp_path / "first", tmp_path / "moved")
    _, again = train(tmp_path / "moved", ckpt_path=tmp_path / "moved" / "checkpoints" / "last.ckpt", max_epochs=2)
    remembered = again.checkpoint_callback
    assert isinstance(remembered, BestCheckpoint)
    assert remembered.best_model_score == best.best_model_score
    assert Path(remembered.best_model_path) == tmp_path / "moved" / "checkpoints" / Path(best.best_model_path).name


def test_a_checkpoint_is_saved_within_an_epoch_when_it_is_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 25))
    monkeypatch.setattr("visiontasks.callbacks.saving.time", Mock(monotonic=lambda: float(next(clock))))
    copies = tmp_path / "copies"
    copies.mkdir()
    train(tmp_path / "run", copies, minutes=1, max_epochs=1)
    steps = [torch.load(copy / "checkpoints" / "last.ckpt")["global_step"] for copy in sorted(copies.iterdir())]
    assert steps == [3, 4]


@pytest.mark.parametrize("end", [{"max_epochs": 4}, {"max_epochs": -1, "max_steps": 15}])
def test_large_checkpoints_are_not_saved_after_every_short_epoch(
    end: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visiontasks.callbacks.saving.MOST_WRITTEN", 1)
    train(tmp_path / "run", tmp_path / "copies", minutes=10, **end)
    steps = [torch.load(copy / "checkpoints/last.ckpt")["global_step"] for copy in sorted(tmp_path.glob("copies/*"))]
    assert steps == [4, end.get("max_steps", 16)]  # the first epoch, and the last one, whole or not

    # What goes on from the first one ends alike.
    whole, again = tmp_path / "run", tmp_path / "again"
    shutil.copytree(tmp_path / "copies" / "000", again)
    train(again, ckpt_path=again / "checkpoints/last.ckpt", **end)
    assert rows_of(again) == rows_of(whole)


def test_negative_minutes_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"minutes is -1; expected at least 0\."):
        LastCheckpoint(-1)


def test_a_trial_run_saves_nothing(tmp_path: Path) -> None:
    train(tmp_path / "run", fast_dev_run=True)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_processes_that_see_different_checkpoints_are_refused(tmp_path: Path) -> None:
    class Elsewhere(SingleDeviceStrategy):
        def broadcast(self, obj: Any, src: int = 0) -> Any:  # noqa: ANN401 - as Lightning has it
            return 8 if isinstance(obj, int) else obj

    train(tmp_path / "run", max_epochs=1)
    with pytest.raises(CheckpointError, match="Process 0 of 1 would train on from step 4, process 0 from step 8"):
        train(tmp_path / "run", ckpt_path=tmp_path / "run" / "checkpoints" / "last.ckpt", strategy=Elsewhere("cpu"))


def test_processes_are_joined_before_the_first_step(tmp_path: Path) -> None:
    last = LastCheckpoint()
    last.file, last._signals = tmp_path / "last.ckpt", Mock()
    last.on_train_start(Mock(Trainer, ckpt_path=None), Mock(ClassificationTask))
    assert [name for name, *_ in last._signals.method_calls] == ["install", "connect", "begin"]
