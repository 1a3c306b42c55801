"""The switches of training together keep the promises of a training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything

from visiontasks import ClassificationTask, ShapesDataModule

ALL: dict[str, Any] = {
    "backbone": "resnet18-small",
    "backbone_options": {"stochastic_depth": 0.5},
    "dropout": 0.3,
    "layer_decay": 0.75,
    "gradient_checkpointing": True,
}


def trained(make_trainer: Callable[..., Trainer], epochs: int, path: Path | None = None) -> tuple[Trainer, Any]:
    seed_everything(5, verbose=False)
    task = ClassificationTask(4, **ALL, lr_scheduler="constant", warmup=0.0)
    data = ShapesDataModule(train_size=4, val_size=1, image_size=(16, 16), batch_size=2)
    trainer = make_trainer(max_epochs=epochs, num_sanity_val_steps=0)
    trainer.fit(task, data, ckpt_path=path)
    return trainer, task


def test_a_seed_repeats_them_and_a_resume_goes_on_to_the_bit(
    make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    whole, again = (trained(make_trainer, 2)[1].state_dict() for _ in range(2))
    half, _ = trained(make_trainer, 1)
    half.save_checkpoint(tmp_path / "half.ckpt")
    _, resumed = trained(make_trainer, 2, tmp_path / "half.ckpt")
    for name, value in whole.items():
        assert torch.equal(value, again[name]), name
        assert torch.equal(value, resumed.state_dict()[name]), name
