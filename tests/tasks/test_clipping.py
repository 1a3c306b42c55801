"""The size of the gradients that a detector is updated with."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from visiontasks import DetectionTask, ShapesDataModule
from visiontasks.tasks.clipping import GradientClipping


class Noting(torch.optim.SGD):
    """Notes the norm of the gradients of each update."""

    def __init__(self, params: Any, lr: float = 0.0) -> None:  # noqa: ANN401 - as in torch
        super().__init__(params, lr)
        self.norms: list[float] = []

    def step(self, closure: Any = None) -> Any:  # noqa: ANN401 - as in torch
        loss = closure()
        gradients = [p.grad.flatten() for group in self.param_groups for p in group["params"] if p.grad is not None]
        self.norms.append(torch.cat(gradients).norm().item())
        super().step()
        return loss


class Scaling(Callback):
    """Multiplies the loss, and with it the gradient."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def on_before_backward(self, trainer: Trainer, task: LightningModule, loss: torch.Tensor) -> None:
        loss.register_hook(lambda gradient: gradient * self.factor)


def norms(make_trainer: Callable[..., Trainer], factor: float, **options: Any) -> list[float]:  # noqa: ANN401 - as in Lightning
    data = ShapesDataModule("detection", train_size=4, val_size=2, image_size=(32, 32), batch_size=2)
    torch.manual_seed(0)
    task = DetectionTask(4, backbone_options={"filters": [4, 8, 8, 8], "depth": 1}, fpn_width=8, optimizer=Noting)
    trainer = make_trainer(max_epochs=1, limit_val_batches=0, callbacks=[Scaling(factor)], **options)
    trainer.fit(task, data)
    optimizer: Any = trainer.optimizers[0]
    return list(optimizer.norms)


def test_gradients_of_a_detector_are_scaled_down_to_10(make_trainer: Callable[..., Trainer]) -> None:
    free = norms(make_trainer, 1e3, gradient_clip_val=0)
    assert min(free) > 100
    assert norms(make_trainer, 1e3) == pytest.approx([10.0] * len(free), rel=1e-4)


def test_small_gradients_stay(make_trainer: Callable[..., Trainer]) -> None:
    free = norms(make_trainer, 1e-3, gradient_clip_val=0)
    assert max(free) < 10
    assert norms(make_trainer, 1e-3) == pytest.approx(free, rel=1e-4)


def test_the_limit_of_the_trainer_counts(make_trainer: Callable[..., Trainer]) -> None:
    assert norms(make_trainer, 1e3, gradient_clip_val=50.0) == pytest.approx([50.0] * 2, rel=1e-4)


@pytest.mark.parametrize(("by_itself", "norm"), [(True, 1000.0), (False, 10.0)])
def test_an_optimiser_that_unscales_by_itself_gets_scaled_gradients(
    make_trainer: Callable[..., Trainer], by_itself: bool, norm: float
) -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3e4, 4e4])
    optimizer: Any = torch.optim.SGD([weight])
    optimizer._step_supports_amp_scaling = by_itself
    trainer: Any = make_trainer()
    trainer.precision_plugin.scaler = SimpleNamespace(get_scale=lambda: 100.0)
    GradientClipping(10.0).on_before_optimizer_step(trainer, LightningModule(), optimizer)
    torch.testing.assert_close(weight.grad, torch.tensor([0.6, 0.8]) * norm)
