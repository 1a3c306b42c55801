"""The worst samples, against a sort of all of them."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from torch.utils.data import DataLoader

from tests.callbacks.wandb_log import no_account, read_logs
from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.callbacks.kinds import kind_of
from visiontasks.callbacks.wandb_run import finish_runs
from visiontasks.callbacks.worst_samples import WorstSamples
from visiontasks.metrics.sample_quality import classification_quality
from visiontasks.visualization import shelve

SMALL = {"filters": [4, 8], "depth": 1}


def make() -> tuple[ClassificationTask, ShapesDataModule]:
    data = ShapesDataModule(train_size=4, val_size=9, test_size=9, image_size=(32, 40), batch_size=4)
    return ClassificationTask(4, backbone_options=SMALL), data


def ordered(task: ClassificationTask, data: ShapesDataModule) -> list[tuple[float, int]]:
    found = []
    with torch.no_grad():
        for batch in data.test_dataloader():
            _, values = classification_quality(batch, task.eval().predict(task(batch.images)))
            found += list(zip(values.tolist(), batch.ids.tolist(), strict=True))
    return sorted(found)


def test_the_table_lists_the_worst_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_account(monkeypatch, tmp_path)
    task, data = make()
    logger = WandbLogger(project="p", save_dir=tmp_path, offline=True)
    trainer = Trainer(accelerator="cpu", logger=logger, callbacks=[WorstSamples(3)], enable_progress_bar=False)
    data.setup("test")
    # Numbers of images that are not their positions.
    batches: Any = [batch._replace(ids=batch.ids + 100) for batch in data.test_dataloader()]
    trainer.test(task, DataLoader(batches, batch_size=None), verbose=False)
    finish_runs(trainer)
    (log,) = read_logs(tmp_path)
    table = json.loads((log.folder / log.last("test/worst")["path"]).read_text())
    assert table["columns"] == ["image", "number", "quality", "predicted"]
    expected = ordered(task, data)[:3]
    assert [row[1] for row in table["data"]] == [number + 100 for _, number in expected]
    assert [row[2] for row in table["data"]] == pytest.approx([value for value, _ in expected], abs=1e-6)
    assert all(row[3].split()[0] in "0123" for row in table["data"])


@pytest.mark.parametrize("count", [0, 2, 20])
def test_as_many_as_asked_are_drawn_of_each_evaluation_alone(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def noted(pictures: Any) -> Any:  # noqa: ANN401 (as the function it stands in for)
        drawn.append(len(pictures))
        return shelve(pictures)

    monkeypatch.setattr("visiontasks.callbacks.worst_samples.shelve", noted)
    task, data = make()
    callback = WorstSamples(count)
    trainer = Trainer(
        accelerator="cpu", logger=CSVLogger(tmp_path, "run", "0"), callbacks=[callback], enable_progress_bar=False
    )
    for _ in range(2):
        trainer.test(task, datamodule=data, verbose=False)
    assert drawn == ([] if count == 0 else [min(count, 9)] * 2)
    assert (tmp_path / "run" / "0" / "worst" / "test.png").is_file() == (count > 0)


def test_an_interrupted_evaluation_leaves_no_samples() -> None:
    task, data = make()
    data.setup("test")
    callback = WorstSamples(3)
    batch: Any = next(iter(data.test_dataloader()))
    with torch.no_grad():
        predictions = task.eval().predict(task(batch.images))
    trainer: Any = Mock(Trainer, loggers=[1], is_global_zero=True)
    assert kind_of(task, predictions, batch).quality is classification_quality
    callback.look(trainer, task, predictions, batch, 0, "test", "test")
    assert len(callback._worst.kept) == 3
    callback.begin()
    assert not callback._worst.kept
