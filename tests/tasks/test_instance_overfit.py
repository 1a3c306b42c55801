from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch.utils.data import DataLoader

from tests.tasks.test_detection import SMALL
from visiontasks import InstanceSegmentationTask, ShapesDataModule


def overfit(
    make_trainer: Callable[..., Trainer],
    images: int,
    at_once: int,
    passes: int,
    **options: Any,  # noqa: ANN401 - what a task takes
) -> float:
    """Train on images of shapes until the AP50 of masks on them is 0.9, for a number of passes at most; return it."""
    data = ShapesDataModule(
        "instances", train_size=images, val_size=1, image_size=(64, 64), batch_size=at_once, max_objects=2
    )
    data.setup("fit")
    task = InstanceSegmentationTask(
        4, optimizer=partial(torch.optim.AdamW, lr=1e-3), lr_scheduler="cosine", warmup=0.1, **options
    )
    checks = 6
    learnt = EarlyStopping("val/mask_map_50", mode="max", stopping_threshold=0.9, patience=checks)
    trainer = make_trainer(
        max_epochs=passes,
        check_val_every_n_epoch=passes // checks,
        num_sanity_val_steps=0,
        gradient_clip_val=10.0,
        callbacks=[learnt],
    )
    # Masks of training are in the pixels of the batch. Batches of training are mixed anew in each pass: of the same
    # ones, the statistics of batch norm would be learnt too, which are others in the evaluation.
    still = DataLoader[Any](list(data.train_dataloader()), batch_size=None)  # type: ignore[arg-type]  # a list
    trainer.fit(task, data.train_dataloader(), still)
    return float(trainer.callback_metrics["val/mask_map_50"])


@pytest.mark.slow
def test_two_images_are_learnt_by_heart(make_trainer: Callable[..., Trainer]) -> None:
    small = {**SMALL, "backbone_options": {"filters": [16, 32, 32], "depth": 1}, "fpn_width": 32, "head_width": 64}
    found = overfit(make_trainer, 2, 2, 180, **small, mask_widths=(32, 32), box_detections_per_img=10)
    assert found >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["cnn", "googlenet", "inception_v3", "resnet18", "timm/resnet10t.c3_in1k"])
def test_any_backbone_learns_sixteen_images_by_heart(backbone: str, make_trainer: Callable[..., Trainer]) -> None:
    small = {**SMALL, "backbone_options": None, "fpn_width": 64, "head_width": 128}
    found = overfit(
        make_trainer, 16, 4, 90, **small, backbone=backbone, mask_widths=(64, 64), box_detections_per_img=20
    )
    assert found >= 0.9
