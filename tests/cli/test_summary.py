"""What is printed at the end of a run."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.trainer.states import TrainerFn

from visiontasks import ClassificationTask, ShapesDataModule, callbacks
from visiontasks.callbacks import BestCheckpoint, LastCheckpoint
from visiontasks.cli.summary import _FOLDERS, PrintedFigures, print_figures, print_summary

MEANINGS = """
loss: what the training lowers; accuracy: share of the images (of masks: pixels) whose class is right.

"""
ROWS = f"  train/loss      2.0000\n  a/b             0.2500\n  val/accuracy    0.7500\n{MEANINGS}"
FIGURES = f"\n{ROWS}"
OF_TRAINING = f"""
                last epoch (2)
  train/loss            2.0000
  a/b                   0.2500
  val/accuracy          0.7500
{MEANINGS}"""


@pytest.fixture
def trainer(make_trainer: Callable[..., Trainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """A Trainer in a run folder, after something was logged."""
    monkeypatch.chdir(tmp_path)
    best = BestCheckpoint("val/accuracy", "max")
    best.best_model_path = str(tmp_path / "runs" / "best.ckpt")
    figures = PrintedFigures()
    figures.began, figures.validated = 0, 2
    logger = CSVLogger("runs", name="fit", version=0)
    trainer = make_trainer(logger=logger, callbacks=[figures, best], enable_checkpointing=True)
    trainer.state.fn = TrainerFn.FITTING
    trainer.strategy.connect(ClassificationTask(2, backbone_options={"filters": [4]}))
    epochs: Any = trainer.fit_loop.epoch_progress.current
    epochs.processed = epochs.completed = 3
    values = {"val/accuracy": 0.75, "a/b": 0.25, "train/loss": 2.0, "train/loss_step": 9.0, "epoch": 3.0}
    trainer._logger_connector._callback_metrics.update({name: torch.tensor(value) for name, value in values.items()})
    return trainer


def test_the_figures_of_training_come_first(trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    print_figures(trainer)
    assert capsys.readouterr().out == OF_TRAINING


def remember(trainer: Trainer, epoch: int) -> None:
    best = trainer.checkpoint_callback
    assert isinstance(best, BestCheckpoint)
    best.epoch, best.figures = epoch, {"val/accuracy": 0.875, "train/loss": 3.0, "train/tiny": 2e-5}


def test_the_figures_of_the_best_checkpoint_are_beside_those_of_the_last_epoch(
    trainer: Trainer, capsys: pytest.CaptureFixture[str]
) -> None:
    remember(trainer, 1)
    print_figures(trainer)
    assert (
        capsys.readouterr().out
        == f"""
                best epoch (1)  last epoch (2)
  train/loss            3.0000          2.0000
  train/tiny          2.00e-05               -
  a/b                        -          0.2500
  val/accuracy          0.8750          0.7500

Epochs count from 0; the best is that with the highest val/accuracy. {MEANINGS.lstrip()}"""
    )


def test_the_best_epoch_may_be_the_last(trainer: Trainer, capsys: pytest.CaptureFixture[str]) -> None:
    remember(trainer, 2)
    print_figures(trainer)
    assert "best and last epoch (2)\n  train/loss                     3.0000\n" in capsys.readouterr().out


def noted(trainer: Trainer) -> PrintedFigures:
    (figures,) = (one for one in trainer.callbacks if isinstance(one, PrintedFigures))  # type: ignore[attr-defined]
    return figures


def test_a_last_epoch_without_a_validation_has_no_figures_of_an_earlier_one(
    trainer: Trainer, capsys: pytest.CaptureFixture[str]
) -> None:
    remember(trainer, 1)
    noted(trainer).validated = 1
    print_figures(trainer)
    assert "\n  val/accuracy          0.8750               -\n" in capsys.readouterr().out


def test_a_training_notes_its_epochs_and_their_validations(
    make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    def train(path: Path | None, **options: Any) -> tuple[PrintedFigures, Trainer]:  # noqa: ANN401 - of a Trainer
        figures = PrintedFigures()
        trainer = make_trainer(callbacks=[figures], num_sanity_val_steps=1, **options)
        data = ShapesDataModule(train_size=8, val_size=4, image_size=(16, 16), batch_size=4)
        trainer.fit(ClassificationTask(4, backbone_options={"filters": [4], "depth": 1}), data, ckpt_path=path)
        return figures, trainer

    figures, trainer = train(None, max_epochs=-1, max_steps=3)  # ends within the second epoch
    assert (figures.began, figures.validated, trainer.current_epoch) == (0, 0, 2)
    figures, trainer = train(None, max_epochs=2)
    assert (figures.began, figures.validated) == (0, 1)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    figures, _ = train(tmp_path / "last.ckpt", max_epochs=3, limit_val_batches=0)
    assert (figures.began, figures.validated) == (2, 1)


@pytest.mark.parametrize(("count", "listed"), [(1, True), (25, True), (26, False)])
def test_classes_have_a_table_of_their_own_if_they_are_few(
    count: int, listed: bool, trainer: Trainer, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {f"val/{name}/class {label}": torch.tensor(0.5) for name in ("iou", "recall") for label in range(count)}
    trainer._logger_connector._callback_metrics.update(values)
    print_figures(trainer)
    table = "\n val/iou val/recall\n class 0 0.5000 0.5000\n"
    assert (table in re.sub(" +", " ", capsys.readouterr().out)) == listed


def test_a_training_ends_with_its_figures_its_time_and_its_files(
    trainer: Trainer, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("runs/fit/version_0")
    for name in ("predictions", "worst", "own", "predictions/worst"):
        (folder / name).mkdir(parents=True)
    for name in ("metrics.csv", "config.yaml", "hparams.yaml", "predictions/test.png", "predictions/val.png"):
        (folder / name).touch()
    print_summary(trainer, 61.6)
    assert capsys.readouterr().out == (
        f"{OF_TRAINING}Trained 3 epochs in 62 s.\nRun folder: runs/fit/version_0\n  config.yaml\n  metrics.csv\n"
        "  predictions/  images with what the network says of them\n  predictions/test.png\n"
        "  worst/        the images with the worst predictions\nBest checkpoint: runs/best.ckpt\n"
        "To use it: visiontasks predict runs/best.ckpt IMAGES_OR_FOLDER\n"
        "To make the page of the run, report.html: visiontasks report runs/fit/version_0\n"
    )


def test_the_folders_that_are_described_are_those_of_the_callbacks() -> None:
    kinds = [getattr(callbacks, name) for name in dir(callbacks)]
    titles = {kind.title for kind in kinds if hasattr(kind, "title")}
    assert titles >= {"predictions", "worst"}
    assert titles - set(_FOLDERS) == set()


@pytest.mark.parametrize(("validated", "why"), [(-1, " (no validation was run, so there is no best one)"), (2, "")])
def test_without_a_best_checkpoint_the_last_one_is_used(
    validated: int, why: str, trainer: Trainer, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder := Path("runs/fit/version_0/checkpoints")).mkdir(parents=True)
    (last := folder / "last.ckpt").touch()
    trainer.checkpoint_callback.best_model_path = ""  # type: ignore[union-attr]  # it is a BestCheckpoint
    trainer.callbacks.append(saver := LastCheckpoint())  # type: ignore[attr-defined]  # set out of mypy's sight
    saver.file = last
    noted(trainer).validated = validated
    print_summary(trainer, 1.0)
    assert capsys.readouterr().out.endswith(
        f"Last checkpoint: {last}{why}\nTo use it: visiontasks predict {last} IMAGES_OR_FOLDER\n"
    )


@pytest.mark.parametrize(
    ("began", "said"),
    [(2, "1 epoch in 2 s, 3 epochs in all"), (1, "2 epochs in 2 s, 3 epochs in all"), (None, "0 epochs in 2 s, 3 epo")],
)
def test_a_training_that_went_on_counts_what_was_trained_now(
    began: int | None, said: str, trainer: Trainer, capsys: pytest.CaptureFixture[str]
) -> None:
    noted(trainer).began = began
    print_summary(trainer, 2.0)
    assert f"Trained {said}" in capsys.readouterr().out


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
