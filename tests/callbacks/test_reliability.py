"""Pictures of reliability."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, Mock

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger
from PIL import Image

from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.callbacks.reliability import ReliabilityDiagram
from visiontasks.metrics.calibration import CalibrationError
from visiontasks.visualization import reliability_diagram


def test_the_pictures_show_the_predictions_of_the_split(tmp_path: Path) -> None:
    data = ShapesDataModule(train_size=16, val_size=14, test_size=9, batch_size=8, image_size=(24, 24))
    task = ClassificationTask(num_classes=4, backbone_options={"filters": [4, 8]}, normalization="unit")
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=CSVLogger(tmp_path),
        callbacks=[ReliabilityDiagram()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, data)
    trainer.test(task, data, verbose=False)
    files = {path.name: path for path in tmp_path.rglob("reliability/*.png")}
    assert set(files) == {"val_epoch_0.png", "val_epoch_1.png", "test.png"}
    metric = CalibrationError()
    with torch.no_grad():
        for batch in data.test_dataloader():
            metric.update(task.predict(task.eval()(batch.images)).probabilities, batch.labels)
    found = torch.from_numpy(np.array(Image.open(files["test.png"]))).permute(2, 0, 1)
    expected = reliability_diagram(*metric.reliability(), f"test: calibration error {metric.compute():.4f}")
    assert torch.equal(found, expected)


def test_without_a_run_folder_nothing_is_drawn(tmp_path: Path) -> None:
    data = ShapesDataModule(train_size=16, val_size=4, test_size=4, batch_size=8, image_size=(24, 24))
    trainer = Trainer(
        fast_dev_run=True,
        accelerator="cpu",
        default_root_dir=tmp_path,
        callbacks=[ReliabilityDiagram()],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(ClassificationTask(num_classes=4), data)
    assert not list(tmp_path.rglob("*.png"))


def test_each_stage_has_a_picture_of_its_own_on_the_first_process() -> None:
    metric: Any = MagicMock(CalibrationError)
    metric.reliability.return_value = (torch.tensor([1.0, 3.0]), torch.tensor([0.2, 0.9]), torch.tensor([0.5, 0.7]))
    task: Any = SimpleNamespace(metrics={"calibration_error": metric})
    for first, expected in ((True, ["test/reliability"]), (False, [])):
        callback = ReliabilityDiagram()
        callback.finish(Mock(Trainer, is_global_zero=first, loggers=[1]), task, "test", "test")
        assert [shown.tag for shown in callback._shown.values()] == expected
