"""What a task does with the data before a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, TensorDataset

from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.errors import ArgumentError, CheckpointError, DataError

SMALL: dict[str, Any] = {"filters": [4], "depth": 1}


class Reversed(ShapesDataModule):
    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(reversed(super().class_names))


@pytest.fixture
def shapes_checkpoint(make_trainer: Callable[..., Trainer], tmp_path: Path) -> Path:
    """A checkpoint of a task that was trained on shapes of 16 x 16 pixels."""
    trainer = make_trainer(max_epochs=1)
    data = ShapesDataModule(train_size=4, val_size=2, test_size=2, batch_size=2, image_size=(16, 16))
    trainer.fit(ClassificationTask(4, backbone_options=SMALL), datamodule=data)
    trainer.save_checkpoint(tmp_path / "shapes.ckpt")
    return tmp_path / "shapes.ckpt"


def test_a_checkpoint_is_not_for_other_classes(shapes_checkpoint: Path, make_trainer: Callable[..., Trainer]) -> None:
    data = Reversed(train_size=4, val_size=2, test_size=2, batch_size=2, image_size=(16, 16))
    task = ClassificationTask(4, backbone_options=SMALL)
    for use in (make_trainer().test, make_trainer(max_epochs=2).fit):
        with pytest.raises(CheckpointError, match=r"of the checkpoint are circle.* those of the data star"):
            use(task, datamodule=data, ckpt_path=str(shapes_checkpoint))


def test_another_image_size_than_in_training_is_said(
    shapes_checkpoint: Path, make_trainer: Callable[..., Trainer]
) -> None:
    data = ShapesDataModule(train_size=4, val_size=2, test_size=2, batch_size=2, image_size=(24, 20))
    with pytest.warns(UserWarning, match=r"The images are 24 x 20 pixels .*, the task was trained on 16 x 16"):
        make_trainer().test(ClassificationTask(4, backbone_options=SMALL), data, str(shapes_checkpoint), verbose=False)
    # A size for evaluation is meant to be another; warnings are errors.
    data.eval_size = (24, 20)
    make_trainer().test(ClassificationTask(4, backbone_options=SMALL), data, str(shapes_checkpoint), verbose=False)


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_nothing_is_scored_with_a_normalisation_that_was_not_measured(
    stage: str, make_trainer: Callable[..., Trainer]
) -> None:
    data = ShapesDataModule(train_size=4, val_size=2, test_size=2, batch_size=2, image_size=(16, 16))
    task = ClassificationTask(4, backbone_options=SMALL, normalization="dataset")
    with pytest.raises(ArgumentError, match=r"normalization 'dataset' is measured .* when a fit begins, and was not"):
        getattr(make_trainer(), stage)(task, datamodule=data, verbose=False)


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_values_of_images_are_checked_in_the_first_batch_of_every_stage(
    stage: str, make_trainer: Callable[..., Trainer]
) -> None:
    task = ClassificationTask(4, backbone_options=SMALL, normalization="unit")
    samples = TensorDataset(torch.full((4, 3, 16, 16), 200.0), torch.arange(4))
    trainer = make_trainer(max_epochs=1, log_every_n_steps=1, num_sanity_val_steps=0)
    loaders = [DataLoader(samples, batch_size=2)] * (2 if stage == "fit" else 1)
    with pytest.raises(DataError, match="float32 values from 200 to 200"):
        getattr(trainer, stage)(task, *loaders)
