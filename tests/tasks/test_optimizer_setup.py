"""Learning rates of head and backbone, and schedules of one's own."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.cli import ReduceLROnPlateau as LightningReduceLROnPlateau
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR

from tests.tasks.test_unfreezing import Notes
from visiontasks import ClassificationBatch, ClassificationTask
from visiontasks.errors import ArgumentError
from visiontasks.tasks.optimization import set_rate
from visiontasks.tasks.optimizer_setup import OptimizerSetup

Fit = Callable[..., Trainer]

SMALL: dict[str, Any] = {"filters": (4, 6), "depth": 1}


def test_the_backbone_may_learn_slower(fit: Fit, batch: ClassificationBatch) -> None:
    notes = Notes()
    task = ClassificationTask(3, backbone_options=SMALL, backbone_lr_factor=0.1, warmup=0.5)
    trainer = fit(task, [batch] * 4, max_epochs=1, callbacks=[notes])
    for head, *others in notes.rates:
        assert others == pytest.approx([0.1 * head, head, 0.1 * head])
    groups = trainer.optimizers[0].param_groups
    own = {id(parameter) for parameter in task.backbone.parameters()}
    for group in groups:
        inside = [id(parameter) in own for parameter in group["params"]]
        assert all(inside) or not any(inside)
        assert group["initial_lr"] == pytest.approx(1e-4 if all(inside) else 1e-3)
        assert group["weight_decay"] == (0.05 if group["params"][0].ndim > 1 else 0)
    assert sum(len(group["params"]) for group in groups) == len(list(task.parameters()))


def test_a_schedule_that_sets_the_rate_of_the_backbone_is_an_error(fit: Fit, batch: ClassificationBatch) -> None:
    options: dict[str, Any] = {"backbone_lr_factor": 0.1, "lr_interval": "step", "optimizer": partial(SGD, lr=0.1)}
    one = partial(OneCycleLR, max_lr=0.1, total_steps=2)
    with pytest.raises(
        ArgumentError, match=r"OneCycleLR gives every parameter the same learning rate, whatever backbo"
    ):
        fit(ClassificationTask(3, backbone_options=SMALL, lr_scheduler=one, **options), [batch], max_epochs=1)
    each = partial(OneCycleLR, max_lr=[0.1, 0.01], total_steps=2)
    fit(ClassificationTask(3, backbone_options=SMALL, lr_scheduler=each, **options), [batch], max_epochs=1)


@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_a_factor_out_of_range_is_an_error(factor: float) -> None:
    with pytest.raises(ArgumentError, match=re.escape(f"backbone_lr_factor is {factor}; expected more than 0")):
        ClassificationTask(3, backbone_options=SMALL, backbone_lr_factor=factor)


def test_a_plateau_waits_where_an_epoch_is_not_validated(fit: Fit, batch: ClassificationBatch) -> None:
    task = ClassificationTask(3, backbone_options=SMALL, lr_scheduler=ReduceLROnPlateau)
    trainer = fit(task, [batch], max_epochs=3, check_val_every_n_epoch=2)
    assert trainer.current_epoch == 3


@pytest.mark.parametrize(
    ("plateau", "monitor"),
    [(ReduceLROnPlateau, "val/loss"), (partial(LightningReduceLROnPlateau, monitor="val/f1"), "val/f1")],
)
@pytest.mark.parametrize("interval", [1, 3, None])
def test_a_plateau_looks_at_its_metric_after_each_validation(
    plateau: Any,  # noqa: ANN401 - creates a scheduler
    monitor: str,
    interval: int | None,
    make_trainer: Callable[..., Trainer],
) -> None:
    task = ClassificationTask(3, backbone_options=SMALL)
    task.trainer = make_trainer(check_val_every_n_epoch=interval, val_check_interval=5)
    optimizer = SGD(task.parameters(), lr=0.1)
    config = OptimizerSetup(plateau, "epoch", warmup=0.0, backbone_factor=1.0).make_schedule(task, optimizer)
    scheduler = config.pop("scheduler")
    assert scheduler.optimizer is optimizer
    assert config == {"interval": "epoch", "monitor": monitor, "frequency": interval or 1, "strict": False}


def test_a_schedule_of_a_function_steps_at_the_given_interval_and_a_named_one_at_every_step(
    make_trainer: Callable[..., Trainer],
) -> None:
    for given, interval, expected in (
        (partial(StepLR, step_size=2), "step", "step"),
        (partial(StepLR, step_size=2), "epoch", "epoch"),
        ("constant", "epoch", "step"),
    ):
        task = ClassificationTask(3, backbone_options=SMALL, lr_scheduler=given, lr_interval=interval, warmup=0.0)
        task.trainer = make_trainer(max_epochs=1)
        config: Any = task._setup.make_schedule(task, SGD(task.parameters(), lr=0.1))
        assert config.keys() == {"scheduler", "interval"}
        assert config["interval"] == expected


def test_a_plateau_is_not_of_a_step(fit: Fit, batch: ClassificationBatch) -> None:
    task = ClassificationTask(3, backbone_options=SMALL, lr_scheduler=ReduceLROnPlateau, lr_interval="step")
    with pytest.raises(ArgumentError, match="ReduceLROnPlateau looks at a metric of an epoch"):
        fit(task, [batch], max_epochs=1)


def test_a_rate_keeps_the_ratios_of_the_groups() -> None:
    optimizer = SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (0.1, 0.02, 0.3)])
    set_rate(optimizer, 0.05)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.01, 0.15])
    optimizer.param_groups[0]["lr"] = 0.0
    set_rate(optimizer, 0.4)
    assert [group["lr"] for group in optimizer.param_groups] == [0.4] * 3


def contents(task: ClassificationTask) -> list[torch.Tensor]:
    return [parameter.detach().clone(memory_format=torch.contiguous_format) for parameter in task.parameters()]


def test_lbfgs_trains_a_network_of_either_memory_format_alike(fit: Fit, batch: ClassificationBatch) -> None:
    weights, losses = [], []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        create = partial(torch.optim.LBFGS, lr=0.1, max_iter=4)
        task = ClassificationTask(3, backbone_options=SMALL, optimizer=create, lr_scheduler="constant")
        trainer = fit(task.to(memory_format=memory_format), [batch], max_epochs=6)
        weights.append(contents(task))
        losses.append(trainer.callback_metrics["train/loss"].item())
    assert losses[1] < 1.0
    for one, other in zip(*weights, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("create", "options", "message"),
    [
        (torch.optim.Muon, {}, r"refuses .* of ClassificationTask: Muon only supports 2D .* Choose others, such"),
        (partial(SGD, lr=-1.0), {}, r"The optimizer refuses its options .*: Invalid learning rate: -1.0"),
        (torch.optim.SparseAdam, {}, "SparseAdam takes sparse gradients only, and images have none: use Adam"),
        (torch.optim.LBFGS, {"backbone_lr_factor": 0.5}, "LBFGS has one learning rate for all parameters: leave out"),
    ],
)  # fmt: skip
def test_an_optimizer_that_cannot_train_the_task_is_refused_in_a_line(
    create: Any,  # noqa: ANN401 - creates an optimiser
    options: dict[str, Any],
    message: str,
    fit: Fit,
    batch: ClassificationBatch,
) -> None:
    task = ClassificationTask(3, backbone_options=SMALL, optimizer=create, **options)
    with pytest.raises(ArgumentError, match=message) as raised:
        fit(task, [batch], max_epochs=1)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "Training with AdamW (lr 0.001, weight_decay 0.05 (norms and biases: 0)); schedule of the "
         "learning rate (lr): cosine after a "
         "warm-up of 5 % of the steps."),
        ({"optimizer": partial(SGD, lr=0.1, momentum=0.9), "lr_scheduler": "constant", "warmup": 0.0},
         "Training with SGD (lr 0.1, momentum 0.9); schedule of the learning rate (lr): constant."),
        ({"lr_scheduler": partial(StepLR, step_size=2), "warmup": 0.25, "optimizer": partial(SGD, lr=0.1)},
         "Training with SGD (lr 0.1); schedule of the learning rate (lr): StepLR after a "
         "warm-up of 25 % of the steps."),
        ({"lr_scheduler": partial(StepLR, step_size=2), "optimizer": partial(SGD, lr=0.1), "backbone_lr_factor": 0.5},
         "Training with SGD (lr 0.1 and 0.05); schedule of the learning rate (lr): StepLR."),
    ],
)  # fmt: skip
def test_a_training_says_what_it_trains_with(
    options: dict[str, Any],
    expected: str,
    fit: Fit,
    batch: ClassificationBatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO"):
        fit(ClassificationTask(3, backbone_options=SMALL, **options), [batch], max_epochs=1)
    assert [record.getMessage() for record in caplog.records if "Training with" in record.getMessage()] == [expected]
