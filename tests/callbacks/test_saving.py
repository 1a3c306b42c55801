"""A training that goes on from any checkpoint ends like an undisturbed one."""

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from torch.optim import AdamW
from torch.optim.lr_scheduler import ReduceLROnPlateau

from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.callbacks import BestCheckpoint, LastCheckpoint, RunLogger
from visiontasks.errors import CheckpointError


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
    run: Path, copies: Path | None = None, ckpt_path: Path | None = None, **options: Any
) -> tuple[ClassificationTask, Trainer]:
    """Train for some epochs of four batches; the last batch has two images."""
    seed_everything(0)
    plateau = options.pop("plateau", False)
    schedule: Any = (lambda optimizer: ReduceLROnPlateau(optimizer, patience=0, factor=0.5)) if plateau else "cosine"
    task = ClassificationTask(
        4,
        backbone_options={"filters": [4], "depth": 1},
        optimizer=lambda p: AdamW(p, lr=0.01),
        lr_scheduler=schedule,
    )
    data = ShapesDataModule(train_size=11, val_size=5, image_size=(16, 16), batch_size=3, augmentation="default")
    last = LastCheckpoint() if copies is None else _Snapshots(copies, minutes=0)
    trainer = Trainer(
        accelerator="cpu",
        logger=RunLogger(run.parent, run.name, version=""),
        callbacks=[BestCheckpoint("val/loss"), last],
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


@pytest.mark.filterwarnings("ignore:.ModelCheckpoint.* could not find the monitored key")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"plateau": True},
        {"val_check_interval": 0.5},
        {"check_val_every_n_epoch": 2},
        {"max_steps": 14},
        {"max_steps": 16, "max_epochs": -1},
        {"accumulate_grad_batches": 3},
        {"limit_val_batches": 0},
    ],
    ids=str,
)
def test_it_ends_alike_from_every_checkpoint(options: dict[str, Any], tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    whole = train(tmp_path / "whole", copies, **options)
    saved = sorted(copies.glob("*"))
    assert len(saved) >= 8
    best = sorted(path.name for path in (tmp_path / "whole" / "checkpoints").iterdir())
    for copy in saved:
        rest = train(copy, ckpt_path=copy / "checkpoints" / "last.ckpt", **options)
        try:
            if copy != saved[-1]:  # Lightning does not begin a training that has ended
                assert_same(whole, rest)
            assert sorted(path.name for path in (copy / "checkpoints").iterdir()) == best
            whole_rows, rest_rows = rows_of(tmp_path / "whole"), rows_of(copy)
            assert [row.get("step") for row in rest_rows] == [row.get("step") for row in whole_rows]
            for one, other in zip(whole_rows, rest_rows, strict=True):
                assert one.keys() == other.keys()
                assert one == other
        except AssertionError as error:
            raise AssertionError(f"from {copy.name}: {error}") from error


def test_processes_that_see_different_checkpoints_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, trainer = train(tmp_path / "run", max_epochs=1)
    trainer.ckpt_path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    trainer.fast_dev_run = True
    monkeypatch.setattr(Trainer, "world_size", 2)
    monkeypatch.setattr(Trainer, "global_rank", 1)
    LastCheckpoint().setup(trainer, task, "fit")
    monkeypatch.setattr(trainer.strategy, "broadcast", lambda _: 8)
    with pytest.raises(CheckpointError, match="Process 2 of 2 would train on from step 4, the first one from step 8"):
        LastCheckpoint().setup(trainer, task, "fit")
