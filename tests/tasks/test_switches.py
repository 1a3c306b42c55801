"""The switches of training together keep the promises of a training."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything

from tests.data.datamodules.image_sets import write_coco
from visiontasks import ClassificationTask, COCODataModule, InstanceSegmentationTask, ShapesDataModule

ALL: dict[str, Any] = {
    "backbone": "resnet18-small",
    "backbone_options": {"stochastic_depth": 0.5},
    "dropout": 0.3,
    "layer_decay": 0.75,
    "gradient_checkpointing": True,
}


CASCADE: dict[str, Any] = {
    "backbone_options": {"filters": [4, 8, 8], "depth": 1},
    "fpn_width": 8,
    "head_width": 8,
    "mask_widths": (8,),
    "cascade": True,
    "box_loss": "giou",
    "layer_decay": 0.75,
    "gradient_checkpointing": True,
}


def classifier(folder: Path) -> tuple[Any, Any]:
    task = ClassificationTask(4, **ALL, lr_scheduler="constant", warmup=0.0)
    return task, ShapesDataModule(train_size=4, val_size=1, image_size=(16, 16), batch_size=2)


def cascade_with_masks(folder: Path) -> tuple[Any, Any]:
    if not folder.exists():
        write_coco(folder, count=4)
    size: dict[str, Any] = {"shorter": 48, "longer": 64, "batch_size": 2, "num_workers": 0}
    augmentation = "large-scale-jitter+copy-paste"
    data = COCODataModule(folder, "instances", augmentation=augmentation, repeat_threshold=0.5, **size)
    return InstanceSegmentationTask(data.num_classes, **CASCADE, lr_scheduler="constant", warmup=0.0), data


Make = Callable[[Path], tuple[Any, Any]]


def trained(
    make: Callable[[], tuple[Any, Any]], make_trainer: Callable[..., Trainer], epochs: int, path: Path | None = None
) -> tuple[Trainer, Any]:
    seed_everything(5, verbose=False)
    task, data = make()
    trainer = make_trainer(max_epochs=epochs, num_sanity_val_steps=0)
    trainer.fit(task, data, ckpt_path=path)
    return trainer, task


@pytest.mark.parametrize("make", [classifier, cascade_with_masks])
def test_a_seed_repeats_them_and_a_resume_goes_on_to_the_bit(
    make: Make, make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    made = partial(make, tmp_path / "data")
    whole, again = (trained(made, make_trainer, 2)[1].state_dict() for _ in range(2))
    half, _ = trained(made, make_trainer, 1)
    half.save_checkpoint(tmp_path / "half.ckpt")
    _, resumed = trained(made, make_trainer, 2, tmp_path / "half.ckpt")
    for name, value in whole.items():
        assert torch.equal(value, again[name]), name
        assert torch.equal(value, resumed.state_dict()[name]), name
