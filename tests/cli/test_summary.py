"""What is printed at the end of a run."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.trainer.states import TrainerFn

from visiontasks.cli.summary import PrintedFigures, print_figures, print_summary

FIGURES = "\n  train/loss      2.0000\n  a/b             0.2500\n  val/accuracy    0.7500\n\n"


@pytest.fixture
def trainer(make_trainer: Callable[..., Trainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """A Trainer in a run folder, after something was logged."""
    monkeypatch.chdir(tmp_path)
    best = ModelCheckpoint(monitor="val/accuracy")
    best.best_model_path = str(tmp_path / "runs" / "best.ckpt")
    logger = CSVLogger("runs", name="fit", version=0)
    trainer = make_trainer(logger=logger, callbacks=[best], enable_checkpointing=True)
    trainer.state.fn = TrainerFn.FITTING
    values = {"val/accuracy": 0.75, "a/b": 0.25, "train/loss": 2.0, "epoch": 3.0}
    trainer._logger_connector._callback_metrics.update({name: torch.tensor(value) for name, value in values.items()})
    return trainer


def test_the_figures_of_training_come_first(trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    print_figures(trainer)
    assert capsys.readouterr().out == FIGURES


def test_a_training_ends_with_its_figures_its_time_and_its_files(
    trainer: Trainer, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("runs/fit/version_0")
    (folder / "predictions").mkdir(parents=True)
    for name in ("metrics.csv", "config.yaml", "hparams.yaml", "predictions/test.png", "predictions/val.png"):
        (folder / name).touch()
    print_summary(trainer, 61.6)
    assert capsys.readouterr().out == (
        f"{FIGURES}Trained 0 epochs in 62 s.\nRun folder: runs/fit/version_0\n  config.yaml\n  metrics.csv\n"
        "  predictions/test.png\nBest checkpoint: runs/best.ckpt\n"
    )


@pytest.mark.parametrize("fn", [TrainerFn.VALIDATING, TrainerFn.TESTING])
def test_after_an_evaluation_the_figures_are_not_repeated(
    fn: TrainerFn, trainer: Trainer, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer.state.fn = fn
    print_summary(trainer)
    assert capsys.readouterr().out == ""  # and there is no run folder


def test_figures_are_printed_by_evaluations_alone(trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    figures, module = PrintedFigures(), LightningModule()
    figures.on_validation_end(trainer, module)  # of a fit
    assert capsys.readouterr().out == ""
    trainer.state.fn = TrainerFn.VALIDATING
    figures.on_validation_end(trainer, module)
    assert capsys.readouterr().out == FIGURES
    figures.on_test_end(trainer, module)
    assert capsys.readouterr().out == FIGURES


def test_other_processes_print_nothing(
    trainer: Trainer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(trainer.strategy), "is_global_zero", False)
    print_figures(trainer)
    print_summary(trainer, 1.0)
    assert capsys.readouterr().out == ""
