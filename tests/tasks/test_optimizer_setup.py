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
