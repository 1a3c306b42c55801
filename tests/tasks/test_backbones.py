"""Every backbone of the table learns a batch by heart, and its checkpoint predicts what it does."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch.optim import Adam

from visiontasks import ClassificationBatch, ClassificationTask, list_backbones

QUICK = {"cnn", "alexnet", "resnet18", "resnet18-small"}
NAMES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in list_backbones()]


@pytest.mark.parametrize("backbone", NAMES)
def test_a_batch_is_learnt_by_heart_and_predicted_from_the_checkpoint(
    backbone: str, fit: Callable[..., Trainer], tmp_path: Path
) -> None:
    labels = torch.tensor([0, 1, 2, 0])
    batch = ClassificationBatch(torch.randint(256, (4, 3, 32, 48), dtype=torch.uint8), labels, torch.arange(4))
    # Deep networks without batch normalisation learn nothing at a higher rate.
    rate = 1e-4 if backbone in {"vgg11", "vgg13", "vgg16", "vgg19", "alexnet"} else 1e-3
    task = ClassificationTask(
        3, backbone=backbone, optimizer=partial(Adam, lr=rate), lr_scheduler="constant", warmup=0.0
    )
    learnt = EarlyStopping("train/loss", stopping_threshold=0.01, patience=200, check_on_train_epoch_end=True)
    trainer = fit(task, [batch], max_epochs=200, limit_val_batches=0, callbacks=[learnt])
    assert trainer.callback_metrics["train/loss"] < 0.01

    trainer.save_checkpoint(tmp_path / "task.ckpt")
    loaded = ClassificationTask.load_from_checkpoint(tmp_path / "task.ckpt")
    with torch.no_grad():
        assert torch.equal(task.eval()(batch.images), loaded.eval()(batch.images))
