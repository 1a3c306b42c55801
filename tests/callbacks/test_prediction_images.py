"""Pictures of the first predictions, against the drawing function called by itself."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from PIL import Image

from tests.callbacks.wandb_log import no_account, read_logs
from visiontasks import ClassificationBatch, ClassificationTask, ShapesDataModule
from visiontasks.callbacks.prediction_images import PredictionImages
from visiontasks.callbacks.wandb_run import finish_runs
from visiontasks.types import ClassificationPredictions
from visiontasks.visualization import Picture, draw_classification

SMALL = {"filters": [4, 8], "depth": 1}


def run(logger: Any, count: int, *, stage: str = "test") -> tuple[Any, ShapesDataModule, Trainer]:  # noqa: ANN401 (any)
    task = ClassificationTask(4, backbone_options=SMALL)
    data = ShapesDataModule(train_size=4, val_size=7, test_size=7, image_size=(32, 40), batch_size=5)
    trainer = Trainer(accelerator="cpu", logger=logger, callbacks=[PredictionImages(count)], enable_progress_bar=False)
    (trainer.test if stage == "test" else trainer.validate)(task, datamodule=data, verbose=False)
    return task, data, trainer


def expected(task: Any, batch: ClassificationBatch, count: int) -> Picture:  # noqa: ANN401 (a classifier)
    with torch.no_grad():
        predictions = task.eval().predict(task(batch.images))
    first = ClassificationBatch(*(field[:count] for field in batch))
    return draw_classification(first, ClassificationPredictions(*(x[:count] for x in predictions)), task.display_names)


@pytest.mark.parametrize(("stage", "name"), [("test", "test"), ("val", "val_epoch_0")])
@pytest.mark.parametrize("count", [2, 5, 20])
def test_as_many_of_the_first_images_as_asked_are_drawn(stage: str, name: str, count: int, tmp_path: Path) -> None:
    task, data, _ = run(CSVLogger(tmp_path, "run", "0"), count, stage=stage)
    (file,) = (tmp_path / "run" / "0" / "predictions").glob("*.png")
    assert file.stem == name
    batch = next(iter(data.test_dataloader() if stage == "test" else data.val_dataloader()))
    with Image.open(file) as picture:
        shown = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    assert torch.equal(shown, expected(task, batch, count))


def test_no_picture_is_drawn_for_none(tmp_path: Path) -> None:
    run(CSVLogger(tmp_path, "run", "0"), 0)
    assert not (tmp_path / "run" / "0" / "predictions").exists()


def test_weights_and_biases_gets_single_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_account(monkeypatch, tmp_path)
    task, data, trainer = run(WandbLogger(project="p", save_dir=tmp_path, offline=True), 3)
    finish_runs(trainer)
    (log,) = read_logs(tmp_path)
    media = log.last("test/predictions")
    batch = next(iter(data.test_dataloader()))
    assert len(media["filenames"]) == 3
    for index, name in enumerate(media["filenames"]):
        with Image.open(log.folder / name) as picture:
            assert np.array_equal(np.array(picture), batch.images[index].permute(1, 2, 0).numpy())
    with torch.no_grad():
        labels = task.eval().predict(task(batch.images)).labels
    assert [caption.split()[0] for caption in media["captions"]] == [task.class_names[label] for label in labels[:3]]
