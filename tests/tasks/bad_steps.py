"""Batches whose loss or gradient is not finite, and a task that has them."""

import math
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.optim import AdamW

from visiontasks import ClassificationTask
from visiontasks.types import ClassificationBatch

OPTIONS: dict[str, Any] = {"backbone_options": {"filters": [4], "depth": 1}, "lr_scheduler": "constant", "warmup": 0.0}


class Spoil(torch.autograd.Function):
    """Passes the loss on, and makes its gradient NaN."""

    @staticmethod
    def forward(context: Any, loss: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        return loss.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        return gradient * torch.nan


class Bad(ClassificationTask):
    """Has a bad loss or gradient in the batches whose first image has a certain id."""

    def __init__(self, bad: dict[int, str], **options: Any) -> None:  # noqa: ANN401 - the arguments of the base
        super().__init__(3, **{"optimizer": partial(AdamW, lr=0.01)} | OPTIONS | options)
        self.bad = bad

    def losses(self, outputs: Tensor, batch: ClassificationBatch) -> dict[str, Tensor]:
        (loss,) = super().losses(outputs, batch).values()
        kind = self.bad.get(int(batch.ids[0])) if self.training else None
        if kind == "gradient":
            loss = Spoil.apply(loss)
        # A constant, on which no gradient depends.
        return {"known": loss, "added": torch.tensor({"loss": math.nan, "infinite loss": math.inf}.get(str(kind), 0.0))}


def batches(count: int) -> list[ClassificationBatch]:
    generator = torch.Generator().manual_seed(0)
    return [
        ClassificationBatch(
            torch.randint(256, (4, 3, 12, 12), dtype=torch.uint8, generator=generator),
            torch.arange(4) % 3,
            torch.arange(4) + 10 * number,
        )
        for number in range(count)
    ]


def state_of(trainer: Trainer) -> list[Tensor]:
    task = trainer.lightning_module
    states = trainer.optimizers[0].state_dict()["state"].values()
    return [*(value.clone() for value in task.state_dict().values()), *(t.clone() for s in states for t in s.values())]


def made(bad: dict[int, str], **options: Any) -> Bad:  # noqa: ANN401 - the arguments of the task
    torch.manual_seed(1)
    return Bad(bad, **options)
