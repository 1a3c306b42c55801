"""What is not finite on a real GPU: the update is left out there, and the host looks one step later."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import SGD, AdamW, RMSprop
from torch.utils.data import DataLoader

from visiontasks import ClassificationBatch, ClassificationTask
from visiontasks.errors import NonFiniteLossError

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


class Bad(ClassificationTask):
    """Its loss is NaN in the second step."""

    def losses(self, outputs: Tensor, batch: ClassificationBatch) -> dict[str, Tensor]:
        terms = super().losses(outputs, batch)
        return {name: term * torch.nan if self.global_step == 1 else term for name, term in terms.items()}


class Weights(Callback):
    """Notes the weights after each step."""

    def __init__(self) -> None:
        self.seen: list[list[Tensor]] = []

    def on_train_batch_end(self, trainer: Trainer, task: LightningModule, *args: object) -> None:
        self.seen.append([parameter.detach().clone() for parameter in task.parameters()])


@pytest.mark.parametrize(
    ("optimizer", "steps"),
    [(AdamW, 2), (partial(SGD, momentum=0.9), 2), (RMSprop, 1), (partial(AdamW, foreach=True), 1)],
)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_no_weight_changes_and_the_training_stops(
    optimizer: Callable[..., Any], steps: int, precision: str, make_trainer: Callable[..., Trainer]
) -> None:
    task = Bad(4, backbone_options={"filters": [4], "depth": 1}, optimizer=partial(optimizer, lr=0.01))
    images = torch.randint(256, (8, 3, 16, 16), dtype=torch.uint8)
    batch = ClassificationBatch(images, torch.arange(8) % 4, torch.arange(8))
    loader: DataLoader[Any] = DataLoader([batch] * 4, batch_size=None)  # type: ignore[arg-type]  # read like a Dataset
    weights = Weights()
    trainer = make_trainer(accelerator="gpu", max_epochs=1, precision=precision, callbacks=[weights])
    with pytest.raises(NonFiniteLossError, match=r"The loss is not finite at step 1 \(cross_entropy nan\)"):
        trainer.fit(task, loader)
    assert len(weights.seen) == steps
    for now in (weights.seen[-1], task.parameters()):
        assert all(torch.equal(*pair) for pair in zip(weights.seen[0], now, strict=True))
