"""The table of the classes, against what was logged."""

import csv
import json
import math
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, WandbLogger

from tests.callbacks.wandb_log import no_account, read_logs
from visiontasks import AutoencodingTask, ClassificationTask, SegmentationTask, ShapesDataModule
from visiontasks.callbacks.per_class import PerClassTable
from visiontasks.callbacks.wandb_run import finish_runs

SMALL = {"filters": [4, 8], "depth": 1}


def evaluate(task: Any, kind: Any, logger: Any) -> Trainer:  # noqa: ANN401 - a task and a logger of any kind
    """Test a task with the table."""
    data = ShapesDataModule(task=kind, train_size=4, val_size=4, test_size=7, image_size=(32, 40), batch_size=3)
    trainer = Trainer(accelerator="cpu", logger=logger, enable_progress_bar=False, callbacks=[PerClassTable()])
    trainer.test(task, datamodule=data, verbose=False)
    return trainer


def test_a_row_for_each_class_and_a_column_for_each_metric(tmp_path: Path) -> None:
    task = SegmentationTask(5, backbone_options=SMALL)
    trainer = evaluate(task, "segmentation", CSVLogger(tmp_path, "run", "0"))
    with (tmp_path / "run" / "0" / "per_class" / "test.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["class"] for row in rows] == task.class_names
    logged = {name: value for name, value in trainer.callback_metrics.items() if name.count("/") == 2}
    assert len(logged) == len(rows) * (len(rows[0]) - 1) > 0
    for name, value in logged.items():
        _, metric, label = name.split("/")
        (written,) = (row[metric] for row in rows if row["class"] == label)
        assert written == "" if math.isnan(value) else float(written) == pytest.approx(float(value), rel=1e-5)


def test_without_classes_there_is_no_table(tmp_path: Path) -> None:
    task = AutoencodingTask(code_size=4, backbone_options=SMALL, image_size=(32, 40))
    evaluate(task, "classification", CSVLogger(tmp_path, "run", "0"))
    assert not (tmp_path / "run" / "0" / "per_class").exists()


def test_weights_and_biases_gets_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_account(monkeypatch, tmp_path)
    task = ClassificationTask(4, backbone_options=SMALL)
    finish_runs(evaluate(task, "classification", WandbLogger(project="p", save_dir=tmp_path, offline=True)))
    (log,) = read_logs(tmp_path)
    table = json.loads((log.folder / log.last("test/per_class")["path"]).read_text())
    assert table["columns"][0] == "class"
    assert [row[0] for row in table["data"]] == task.class_names


def test_each_loader_and_each_validation_has_a_table_of_its_own(tmp_path: Path) -> None:
    written: dict[str, Any] = {}
    task: Any = Mock(ClassificationTask, monitor="val/loss", monitor_mode="min")
    logged = {
        "val/recall/cat": 0.5, "val/recall/dog": math.nan, "val/loss": 1.0, "test/recall/cat": 0.1,
        "val/recall/cat/dataloader_idx_1": 0.25, "val/recall/dog/dataloader_idx_1": 0.75,
    }  # fmt: skip
    trainer: Any = Mock(Trainer, is_global_zero=True, sanity_checking=False, loggers=[], current_epoch=3, state=Mock())
    trainer.val_check_batch = float("inf")
    trainer.num_training_batches = 1
    trainer.callback_metrics = {name: torch.tensor(value) for name, value in logged.items()}
    callback = PerClassTable()
    callback._files.begin(tmp_path)
    callback._files.write = lambda trainer, task, contents: written.update(contents)  # type: ignore[method-assign]
    callback.on_validation_end(trainer, task)
    assert {name: text.split() for name, text in written.items()} == {
        "val_epoch_3.csv": ["class,recall", "cat,0.5", "dog,"],
        "val_epoch_3_dataloader_idx_1.csv": ["class,recall", "cat,0.25", "dog,0.75"],
    }
    written.clear()
    for stopped in ({"sanity_checking": True}, {"sanity_checking": False, "is_global_zero": False}):
        trainer.configure_mock(**stopped)
        callback.on_validation_end(trainer, task)
    assert not written
