"""Lightning's Tuner, as its documentation calls it."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.tuner import Tuner
from torch import Tensor, nn

from visiontasks import ClassificationBatch, ClassificationTask, DetectionTask, ShapesDataModule, Task

SMALL: dict[str, Any] = {"filters": [4, 8], "depth": 1, "norm": "batch"}
SGD = partial(torch.optim.SGD, lr=0.5, momentum=0.9)


def classification(**options: Any) -> ClassificationTask:  # noqa: ANN401 - arguments of the task
    torch.manual_seed(0)
    return ClassificationTask(4, backbone_options=SMALL, **options)


def detection() -> DetectionTask:
    torch.manual_seed(0)
    small = {"filters": [8, 8, 8], "depth": 1}
    return DetectionTask(4, backbone_options=small, fpn_width=8, head_width=8, optimizer=SGD)


def shapes(kind: Any = "classification", workers: int = 0) -> ShapesDataModule:  # noqa: ANN401 - one of the tasks
    return ShapesDataModule(kind, train_size=32, val_size=4, image_size=(32, 32), batch_size=4, num_workers=workers)


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("options", [{}, {"optimizer": SGD, "backbone_lr_factor": 0.1}])
def test_the_learning_rate_that_is_found_is_the_one_that_trains_next(
    options: dict[str, Any], workers: int, make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    task = classification(**options)
    before = deepcopy(task.state_dict())
    trainer, data = make_trainer(max_epochs=3), shapes(workers=workers)
    finder: Any = Tuner(trainer).lr_find(task, datamodule=data, num_training=16)
    assert task.lr == finder.suggestion() != classification(**options).lr
    assert equal(before, task.state_dict())
    assert not list(tmp_path.rglob("*.ckpt"))
    trainer.fit(task, datamodule=data)
    rates = [group["initial_lr"] for group in trainer.optimizers[0].param_groups]
    assert set(rates) == ({task.lr} if not options else {task.lr, task.lr * 0.1})
    # As if it had been created with this rate, and nothing had been searched.
    anew = classification(**options)
    anew.lr = task.lr
    make_trainer(max_epochs=3).fit(anew, datamodule=shapes(workers=workers))
    assert equal(anew.state_dict(), task.state_dict())
    assert not equal(before, task.state_dict())


@pytest.mark.parametrize("kind", ["classification", "detection"])
def test_the_batch_size_that_is_found_is_the_one_that_trains_next(
    kind: str, make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    task: Task = classification() if kind == "classification" else detection()
    before = deepcopy(task.state_dict())
    trainer, data = make_trainer(max_epochs=1), shapes(kind)
    found = Tuner(trainer).scale_batch_size(task, datamodule=data, max_val=16)
    assert found == data.batch_size == data.eval_batch_size == 16
    assert equal(before, task.state_dict())
    assert not list(tmp_path.rglob("*.ckpt"))
    trainer.fit(task, datamodule=data)
    assert trainer.global_step == 2


def test_a_detector_has_a_learning_rate_to_find(make_trainer: Callable[..., Trainer]) -> None:
    task = detection()
    finder: Any = Tuner(make_trainer(max_epochs=5)).lr_find(task, datamodule=shapes("detection"), num_training=20)
    assert task.lr == finder.suggestion()


def test_an_evaluation_batch_size_of_ones_own_stays() -> None:
    data = ShapesDataModule(batch_size=4, eval_batch_size=5)
    data.batch_size = 8
    assert data.eval_batch_size == 5


class Exploding(ClassificationTask):
    """Its loss is infinite from some step on."""

    def losses(self, outputs: Tensor, batch: ClassificationBatch) -> dict[str, Tensor]:
        terms = super().losses(outputs, batch)
        return {name: term / 0 if self.training and self.global_step > 14 else term for name, term in terms.items()}


def test_a_loss_that_is_not_finite_ends_the_search(make_trainer: Callable[..., Trainer]) -> None:
    task = Exploding(4, backbone_options=SMALL)
    finder: Any = Tuner(make_trainer(max_epochs=5)).lr_find(task, datamodule=shapes(), num_training=24)
    losses = torch.tensor(finder.results["loss"])
    assert len(losses) == 16
    assert losses.isfinite().sum() == 15
    assert task.lr == finder.suggestion()
    assert all(value.isfinite().all() for value in task.state_dict().values())


def test_several_learning_rates_keep_their_proportions() -> None:
    def two(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        first, *rest = parameters
        return torch.optim.SGD([{"params": [first], "lr": 0.2}, {"params": rest, "lr": 0.5}])

    task = classification(
        optimizer=two, lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.ConstantLR(optimizer, 1)
    )
    assert task.lr == 0.2
    task.lr = 0.1
    configured: Any = task.configure_optimizers()
    assert [group["lr"] for group in configured["optimizer"].param_groups] == pytest.approx([0.1, 0.25])
