"""What a checkpoint holds of the arguments, whoever saved them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer

from visiontasks import ClassificationTask, ShapesDataModule

SMALL: dict[str, Any] = {"backbone_options": {"filters": [4, 8], "depth": 1}}


class Own(ClassificationTask):
    """Saves its arguments as tasks of Lightning do."""

    def __init__(self, num_classes: int, sharpness: float = 1.0, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(num_classes, **kwargs)
        self.save_hyperparameters()


class OwnShapes(ShapesDataModule):
    """Saves its arguments as data modules of Lightning do."""

    def __init__(self, root: Path, image_size: tuple[int, int]) -> None:
        super().__init__(train_size=8, val_size=4, image_size=image_size, batch_size=4)
        self.save_hyperparameters()


@pytest.fixture
def save(make_trainer: Callable[..., Trainer], tmp_path: Path) -> Callable[..., Path]:
    """Train for an epoch and save a checkpoint."""

    def run(task: ClassificationTask, **options: Any) -> Path:  # noqa: ANN401 - what a Trainer takes
        trainer = make_trainer(max_epochs=1, num_sanity_val_steps=0, logger=True, log_every_n_steps=1, **options)
        trainer.fit(task, OwnShapes(tmp_path, (16, 16)))
        trainer.save_checkpoint(tmp_path / "own.ckpt")
        return tmp_path / "own.ckpt"

    return run


def test_numbers_and_names_of_numpy_are_plain_ones(save: Callable[..., Path]) -> None:
    task = ClassificationTask(
        4,
        class_names=list(np.array(["circle", "square", "triangle", "star"])),
        class_weights=list(np.array([1.0, 2, 3, 4])),
        dropout=np.float64(0.1),
        **SMALL,
    )
    loaded = ClassificationTask.load_from_checkpoint(save(task))
    assert loaded.hparams["class_weights"] == [1, 2, 3, 4]
    assert type(loaded.hparams["dropout"]) is float
    assert loaded.class_names == ["circle", "square", "triangle", "star"]


def test_what_a_subclass_saves_itself_is_read_again(save: Callable[..., Path]) -> None:
    path = save(Own(4, sharpness=2.0, optimizer=partial(torch.optim.SGD, lr=0.1), **SMALL))
    loaded = Own.load_from_checkpoint(path)
    assert loaded.hparams["sharpness"] == 2
    assert "optimizer" not in torch.load(path, weights_only=True)["hyper_parameters"]


class Hoard(Callback):
    """Keeps what is no plain value in the checkpoint."""

    def state_dict(self) -> dict[str, Any]:
        return {"kept": partial(print)}


def test_a_checkpoint_that_will_be_refused_is_said_when_it_is_written(save: Callable[..., Path]) -> None:
    with pytest.warns(UserWarning, match="functools.partial, which is refused when it is read"):
        save(ClassificationTask(4, **SMALL), callbacks=[Hoard()])
