"""Every backbone of the table learns class and box of a batch by heart."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch.optim import Adam

from tests.tasks.localization_batches import random_batch
from tests.tasks.rates import RATES, USUAL
from visiontasks import LocalizationTask, list_backbones
from visiontasks.metrics.localization import BoxIoU, ObjectAccuracy

NAMES = [pytest.param(name, marks=() if name == "cnn" else pytest.mark.slow) for name in list_backbones()]


@pytest.mark.parametrize("backbone", NAMES)
def test_a_batch_is_learnt_by_heart(backbone: str, fit: Callable[..., Trainer]) -> None:
    batch = random_batch(4, classes=3, size=(32, 48))
    task = LocalizationTask(
        3,
        backbone=backbone,
        optimizer=partial(Adam, lr=RATES.get(backbone, USUAL)),
        warmup=0.0,
    )
    # Half of what the overlap allows: a step at this rate may take some of it back.
    learnt = EarlyStopping("train/loss", stopping_threshold=0.02, patience=300, check_on_train_epoch_end=True)
    fit(task, [batch], max_epochs=300, limit_val_batches=0, callbacks=[learnt])
    # As in training: running means of batch norm lag behind in so few steps.
    with torch.no_grad():
        predictions = task.train().predict(task(batch.images))
    for metric, least in ((ObjectAccuracy(), 1.0), (BoxIoU(), 0.95)):
        metric.update(predictions.probabilities, predictions.class_boxes, batch.labels, batch.boxes)
        assert metric.compute() >= least
