from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch.utils.data import DataLoader

from tests.tasks.test_detection import SMALL
from visiontasks import DetectionTask, ShapesDataModule


def overfit(make_trainer: Callable[..., Trainer], steps: int, **options: Any) -> float:  # noqa: ANN401 - what a task takes
    """Train on two images of shapes until AP50 on them is 0.95, for a number of steps at most, and return it."""
    data = ShapesDataModule("detection", train_size=2, val_size=1, image_size=(64, 64), batch_size=2, max_objects=2)
    data.setup("fit")
    (batch,) = data.train_dataloader()
    given = {"optimizer": partial(torch.optim.AdamW, lr=1e-3), "lr_scheduler": "constant", "warmup": 0.1}
    task = DetectionTask(4, **{**given, **options})
    learnt = EarlyStopping("val/map_50", mode="max", stopping_threshold=0.95, patience=steps)
    epochs = 6
    trainer = make_trainer(max_epochs=epochs, num_sanity_val_steps=0, gradient_clip_val=10.0, callbacks=[learnt])
    train, val = (DataLoader([batch] * count, batch_size=None) for count in (steps // epochs, 1))  # type: ignore[arg-type,var-annotated]  # a list
    trainer.fit(task, train, val)
    figures = trainer.callback_metrics
    assert {name.removeprefix("val/loss_") for name in figures} >= {"classification", "box"}
    return float(figures["val/map_50"])


@pytest.mark.parametrize(
    "options",
    [{}, {"class_agnostic": True, "neck": "none"}, {"proposals": "sliding-window"}, {"design": "v2"}],
)
def test_two_images_are_learnt_by_heart(options: dict[str, Any], make_trainer: Callable[..., Trainer]) -> None:
    small = {**SMALL, "backbone_options": {"filters": [16, 32, 32], "depth": 1}, "fpn_width": 32, "head_width": 64}
    assert overfit(make_trainer, 120, **{**small, **options}) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(
    "backbone", ["vgg11-bn", "googlenet", "inception_v3", "resnet18", "resnet50", "timm/resnet10t.c3_in1k"]
)
def test_every_backbone_learns_two_images_by_heart(backbone: str, make_trainer: Callable[..., Trainer]) -> None:
    # Statistics of batch norm over two small images say nothing of each of them.
    small = {**SMALL, "backbone_options": None, "fpn_width": 64, "head_width": 128}
    assert overfit(make_trainer, 150, **small, backbone=backbone) >= 0.95
