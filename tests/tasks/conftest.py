"""What the tests of tasks share: a quick training, and a batch to learn."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from visiontasks.types import ClassificationBatch


@pytest.fixture
def fit(make_trainer: Callable[..., Trainer]) -> Callable[..., Trainer]:
    """Train a task on batches, validate it on the same ones, and return the trainer."""

    def run(task: LightningModule, batches: list[Any], ckpt_path: str | Path | None = None, **options: Any) -> Trainer:  # noqa: ANN401 - see above
        loader: DataLoader[Any] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # read like a Dataset
        trainer = make_trainer(**{"num_sanity_val_steps": 0} | options)
        trainer.fit(task, loader, loader, ckpt_path=ckpt_path)
        return trainer

    return run


@pytest.fixture
def batch() -> ClassificationBatch:
    """Six random images of three classes, each with a brightness of its own."""
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    images = torch.randint(0, 86, (6, 3, 12, 15)) + 85 * labels[:, None, None, None]
    return ClassificationBatch(images.to(torch.uint8), labels, torch.tensor([10, 11, 12, 13, 14, 15]))
