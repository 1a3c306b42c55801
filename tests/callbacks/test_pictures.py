from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger

from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.callbacks.confusion import ConfusionImages


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["val_epoch_0", "val_epoch_1"]),
        ({"val_check_interval": 0.5}, [f"val_epoch_{step // 5}_step_{step}" for step in (2, 4, 6, 8)]),
        ({"val_check_interval": 3, "check_val_every_n_epoch": None}, ["val_epoch_0_step_3", "val_epoch_1_step_6"]),
    ],
)
def test_every_validation_has_a_picture_of_its_own(
    options: dict[str, Any], expected: list[str], make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    trainer = make_trainer(
        max_epochs=2,
        num_sanity_val_steps=0,
        logger=CSVLogger(tmp_path, name="", version="run"),
        callbacks=[ConfusionImages()],
        log_every_n_steps=1,
        **options,
    )
    task = ClassificationTask(4, backbone_options={"filters": [4], "depth": 1})
    trainer.fit(task, ShapesDataModule(train_size=8, val_size=2, image_size=(16, 16), batch_size=2))
    assert sorted(path.stem for path in (tmp_path / "run" / "confusion").glob("*.png")) == expected
