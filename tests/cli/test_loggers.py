"""Early stopping, TensorBoard, MLflow, and several loggers at once, by the flags of the documentation."""

import re
import shlex
import sqlite3
from pathlib import Path

import pytest

from tests.callbacks.wandb_log import no_account, read_logs
from visiontasks.cli import main

DOCS = Path(__file__).parents[2] / "docs"
PAGE = "\n".join((DOCS / name).read_text() for name in ("command_line.md", "tracking.md"))
SMALL = [
    *("--data.train_size=16", "--data.val_size=8", "--data.image_size=[24,24]", "--data.batch_size=8"),
    *("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"),
    *("--shown=[]", '--model.backbone_options={"filters": [4, 8], "depth": 1}', "--report=false"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    no_account(monkeypatch, tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def documented(*names: str) -> list[str]:
    """Return the flags of the documented commands that name all of these words."""
    lines = re.sub(r" \\\n> +", " ", PAGE).splitlines()
    (line,) = {line for line in lines if line.startswith("$ visiontasks fit") and all(name in line for name in names)}
    return shlex.split(line)[3:]


def fit(*words: str) -> Path:
    """Train, and return the run folder."""
    assert main(["fit", *SMALL, "--run", "x", *words]) == 0
    return Path("runs/x/version_0")


def test_a_training_whose_loss_does_not_fall_stops_early(capsys: pytest.CaptureFixture[str]) -> None:
    flags = documented("EarlyStopping")
    (patience,) = (int(flag.partition("=")[2]) for flag in flags if flag.startswith("--trainer.callbacks.patience="))
    fit(*flags, "--trainer.callbacks.min_delta=100", "--trainer.max_epochs=50")
    assert f"Trained {patience + 1} epochs" in capsys.readouterr().out


@pytest.mark.slow
def test_tensorboard_gets_the_metrics_beside_the_run_folder() -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = fit(*documented("TensorBoardLogger"), "--trainer.max_epochs=2", "--shown=[predictions]")
    assert (run / "metrics.csv").is_file()
    (events,) = Path("tensorboard").rglob("events.*")
    content = EventAccumulator(str(events), size_guidance={"images": 0})
    content.Reload()
    assert {"train/loss", "val/loss", "val/accuracy"} <= set(content.Tags()["scalars"])
    assert [event.step for event in content.Scalars("val/loss")] == [1, 3]
    assert any("predictions" in tag for tag in content.Tags()["images"])


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of MLflow and what it is made of
def test_mlflow_gets_the_metrics_and_the_arguments_beside_the_run_folder() -> None:
    pytest.importorskip("mlflow")
    flags = documented("MLFlowLogger")
    run = fit(*flags, "--trainer.max_epochs=2", "--trainer.logger.tracking_uri=sqlite:///own.db")
    assert (run / "metrics.csv").is_file()
    with sqlite3.connect("own.db") as database:  # within a process, MLflow opens a database of a name once
        metrics = database.execute("select key, step from metrics where key = 'val/loss' order by step").fetchall()
        arguments = dict(database.execute("select key, value from params").fetchall())
    assert metrics == [("val/loss", 1), ("val/loss", 3)]
    assert arguments["num_classes"] == "4"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_several_loggers_and_early_stopping_work_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard")
    pytest.importorskip("mlflow")
    flags = ["--wandb=shapes", *documented("TensorBoardLogger"), *documented("MLFlowLogger")]
    run = fit(*flags, *documented("EarlyStopping"), "--trainer.max_epochs=1")
    assert (run / "metrics.csv").is_file()
    assert list(Path("tensorboard").rglob("events.*"))
    assert Path("mlflow.db").is_file()
    assert len(read_logs(Path("runs"))) == 1
    assert "Run folder: runs/x/version_0" in capsys.readouterr().out
