import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.cli import ReduceLROnPlateau
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

from visiontasks import ClassificationTask
from visiontasks.errors import ArgumentError
from visiontasks.tasks.optimization import (
    exempt_from_decay,
    fuse,
    named_schedule,
    scale_rate,
    settle_joined_groups,
)
from visiontasks.types import ClassificationBatch

SMALL = {"filters": [4], "depth": 1}


class RateRecorder(Callback):
    """Notes the learning rate that each training step is made with."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, task: LightningModule, batch: object, batch_idx: int) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def rates_of(
    fit: Callable[..., Trainer],
    batch: ClassificationBatch,
    epochs: int,
    batches: int,
    **options: Any,  # noqa: ANN401 - arguments of the task
) -> list[float]:
    recorder = RateRecorder()
    task = ClassificationTask(3, backbone_options=SMALL, **options)
    fit(task, [batch] * batches, max_epochs=epochs, callbacks=[recorder])
    return recorder.rates


def small_optimizer() -> Optimizer:
    return SGD([nn.Parameter(torch.zeros(1))], lr=0.4)


def rates(optimizer: Optimizer, scheduler: torch.optim.lr_scheduler.LRScheduler, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_after_the_warm_up_the_cosine_is_that_of_torch() -> None:
    ours, reference = small_optimizer(), small_optimizer()
    found = rates(ours, named_schedule(ours, "cosine", warmup=0.2, total_steps=20), 21)
    assert found[:4] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert found[4:] == pytest.approx(rates(reference, CosineAnnealingLR(reference, T_max=16), 17))


def test_without_warm_up_the_cosine_starts_at_the_full_rate() -> None:
    optimizer = small_optimizer()
    found = rates(optimizer, named_schedule(optimizer, "cosine", warmup=0, total_steps=8), 9)
    assert found == pytest.approx([0.4 * (1 + math.cos(math.pi * step / 8)) / 2 for step in range(9)])


def test_beyond_the_end_the_cosine_stays_at_zero() -> None:
    optimizer = small_optimizer()
    assert rates(optimizer, named_schedule(optimizer, "cosine", warmup=0, total_steps=3), 6)[3:] == [0, 0, 0]


@pytest.mark.parametrize(
    ("warmup", "expected"), [(0.5, [0.2, 0.4, 0.4, 0.4]), (0, [0.4] * 4), (1, [0.1, 0.2, 0.3, 0.4])]
)
def test_the_constant_schedule_warms_up_only(warmup: float, expected: list[float]) -> None:
    optimizer = small_optimizer()
    assert rates(optimizer, named_schedule(optimizer, "constant", warmup, total_steps=4), 4) == pytest.approx(expected)


def test_a_training_without_end_takes_only_a_constant_rate() -> None:
    optimizer = small_optimizer()
    assert rates(optimizer, named_schedule(optimizer, "constant", warmup=0, total_steps=math.inf), 3) == [0.4] * 3
    for schedule, warmup in (("cosine", 0.0), ("constant", 0.1)):
        with pytest.raises(ArgumentError, match="need to know the end: set max_epochs or max_steps"):
            named_schedule(optimizer, schedule, warmup, math.inf)  # type: ignore[arg-type]  # they are names of schedules


@pytest.mark.unchecked
def test_an_unknown_schedule_is_an_error() -> None:
    with pytest.raises(ArgumentError, match=r"lr_scheduler is 'cosin'. Did you mean 'cosine'\?"):
        named_schedule(small_optimizer(), "cosin", 0.0, total_steps=4)  # type: ignore[arg-type]  # the point


def test_norms_and_biases_do_not_decay() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.LayerNorm(4), nn.Linear(4, 2))
    optimizer = AdamW(model.parameters(), lr=0.1, weight_decay=0.3)
    exempt_from_decay(optimizer)
    decays = {id(value): group["weight_decay"] for group in optimizer.param_groups for value in group["params"]}
    for name, parameter in model.named_parameters():
        assert decays.pop(id(parameter)) == (0.3 if name in ("0.weight", "3.weight") else 0.0)
    assert not decays
    assert all(group["lr"] == 0.1 for group in optimizer.param_groups)


def test_groups_of_a_user_keep_their_settings() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    groups: list[dict[str, Any]] = [
        {"params": [first.weight, first.bias], "lr": 0.5, "weight_decay": 0.1},
        {"params": [second.weight], "weight_decay": 0.0},
        {"params": [second.bias], "lr": 0.7, "weight_decay": 0.2},
    ]
    optimizer = SGD(groups, lr=0.1)
    exempt_from_decay(optimizer)
    found = [([id(p) for p in group["params"]], group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
    assert found == [
        ([id(first.weight)], 0.5, 0.1),
        ([id(second.weight)], 0.1, 0.0),
        ([id(second.bias)], 0.7, 0.0),
        ([id(first.bias)], 0.5, 0.0),
    ]


def test_an_optimiser_without_decay_keeps_its_one_group() -> None:
    optimizer = Adam(nn.Linear(2, 2).parameters(), lr=0.1)
    exempt_from_decay(optimizer)
    assert len(optimizer.param_groups) == 1


def test_scaled_rates_keep_groups_and_their_settings() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    optimizer = SGD(
        [{"params": first.parameters(), "lr": 0.4}, {"params": second.parameters(), "weight_decay": 0.2}], lr=0.2
    )
    scale_rate(optimizer, [first.weight, *second.parameters(), nn.Parameter(torch.zeros(1))], 0.5)
    found = [([id(p) for p in group["params"]], group["lr"], group["weight_decay"]) for group in optimizer.param_groups]
    assert found == [
        ([id(first.bias)], 0.4, 0.0),
        ([id(second.weight), id(second.bias)], 0.1, 0.2),
        ([id(first.weight)], 0.2, 0.0),
    ]


def test_groups_that_join_share_the_schedule_and_the_exemption() -> None:
    model, joining, last = nn.Linear(2, 2), nn.Linear(3, 3), nn.BatchNorm2d(2)
    optimizer = AdamW(model.parameters(), lr=0.4, weight_decay=0.3)
    exempt_from_decay(optimizer)
    scheduler = named_schedule(optimizer, "cosine", warmup=0, total_steps=8)
    rates(optimizer, scheduler, 4)
    optimizer.add_param_group({"params": list(joining.parameters()), "lr": 0.1})
    optimizer.add_param_group({"params": list(last.parameters()), "lr": 0.02})
    for _ in range(2):  # a second time changes nothing
        settle_joined_groups(optimizer, [scheduler], 2)
        groups = optimizer.param_groups
        assert [group["weight_decay"] for group in groups] == [0.3, 0, 0, 0.3, 0]
        assert [group["fused"] for group in groups[2:]] == [True] * 3
        assert [[id(p) for p in group["params"]] for group in groups[2:]] == [
            [id(joining.bias)],
            [id(joining.weight)],
            [id(last.weight), id(last.bias)],
        ]
        assert [group["lr"] for group in groups] == pytest.approx([0.2, 0.2, 0.1, 0.1, 0.02])
    factors = [(1 + math.cos(math.pi * step / 8)) / 2 for step in range(4, 8)]
    for factor in factors:
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(
            [x * factor for x in (0.4, 0.4, 0.2, 0.2, 0.04)]
        )
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(
    ("options", "kind", "rate", "decay"),
    [
        ({}, AdamW, 1e-3, 0.05),
        ({"optimizer": partial(SGD, lr=0.2, momentum=0.9)}, SGD, 0.2, 0.0),
        ({"optimizer": lambda parameters: Adam(parameters, lr=0.3, weight_decay=0.1)}, Adam, 0.3, 0.1),
    ],
)
def test_any_optimiser_trains(
    options: dict[str, Any],
    kind: type[Optimizer],
    rate: float,
    decay: float,
    fit: Callable[..., Trainer],
    batch: ClassificationBatch,
) -> None:
    task = ClassificationTask(3, backbone_options=SMALL, lr_scheduler="constant", warmup=0.0, **options)
    before = task.head.linear.weight.clone()
    (optimizer,) = fit(task, [batch] * 2, max_steps=2).optimizers
    assert type(optimizer) is kind
    assert [group["lr"] for group in optimizer.param_groups] == [rate] * (2 if decay else 1)
    assert [group["weight_decay"] for group in optimizer.param_groups] == ([decay, 0.0] if decay else [0.0])
    assert not torch.equal(task.head.linear.weight, before)


def test_frozen_parameters_stay_as_they_are(fit: Callable[..., Trainer], batch: ClassificationBatch) -> None:
    task = ClassificationTask(3, backbone_options={**SMALL, "norm": "none"})
    before = {name: value.clone() for name, value in task.backbone.requires_grad_(False).state_dict().items()}
    fit(task, [batch] * 2, max_steps=2)
    assert all(torch.equal(value, before[name]) for name, value in task.backbone.state_dict().items())


def test_the_default_warms_up_and_falls_over_all_steps(fit: Callable[..., Trainer], batch: ClassificationBatch) -> None:
    found = rates_of(fit, batch, epochs=2, batches=5, warmup=0.2)
    falling = [(1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)]
    assert found == pytest.approx([1e-3 * factor for factor in [0.5, 1.0, *falling]])


def test_a_schedule_per_epoch(fit: Callable[..., Trainer], batch: ClassificationBatch) -> None:
    options = {"optimizer": partial(SGD, lr=0.8), "lr_scheduler": partial(StepLR, step_size=1, gamma=0.5)}
    found = rates_of(fit, batch, epochs=3, batches=2, **options)
    assert found == [0.8, 0.8, 0.4, 0.4, 0.2, 0.2]


def test_a_schedule_per_step(fit: Callable[..., Trainer], batch: ClassificationBatch) -> None:
    options = {
        "optimizer": partial(SGD, lr=0.1),
        "lr_scheduler": partial(OneCycleLR, max_lr=0.5, total_steps=6),
        "lr_interval": "step",
    }
    found = rates_of(fit, batch, epochs=2, batches=3, **options)
    reference = small_optimizer()
    assert found == pytest.approx(rates(reference, OneCycleLR(reference, max_lr=0.5, total_steps=6), 6))


@pytest.mark.parametrize(
    "scheduler",
    [
        partial(torch.optim.lr_scheduler.ReduceLROnPlateau, factor=0.1, patience=0, eps=0),
        partial(ReduceLROnPlateau, monitor="val/accuracy", mode="max", factor=0.1, patience=0, eps=0),
    ],
    ids=["of torch", "of Lightning"],
)
def test_a_schedule_that_waits_for_a_plateau(
    scheduler: Any,  # noqa: ANN401 - a partial
    fit: Callable[..., Trainer],
    batch: ClassificationBatch,
) -> None:
    # A rate of zero changes no weight, so that the first value of the metric is never bettered.
    options = {"optimizer": lambda parameters: SGD(parameters, lr=1e-12), "lr_scheduler": scheduler}
    found = rates_of(fit, batch, epochs=3, batches=1, **options)
    assert found == pytest.approx([1e-12, 1e-12, 1e-13], rel=1e-6, abs=0)


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_a_fused_update_is_the_usual_one(kind: Callable[..., Optimizer]) -> None:
    layers = [nn.Linear(20, 30) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    optimizers = [kind(layer.parameters(), lr=0.01, weight_decay=0.1) for layer in layers]
    exempt_from_decay(optimizers[0])
    exempt_from_decay(optimizers[1])
    fuse(optimizers[0])
    assert [group["fused"] for group in optimizers[0].param_groups] == [True, True]
    for _ in range(5):
        images = torch.randn(8, 20)
        for layer, optimizer in zip(layers, optimizers, strict=True):
            optimizer.zero_grad()
            layer(images).square().mean().backward()
            optimizer.step()
    for one, other in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_what_was_asked_for_stays() -> None:
    parameters = [nn.Parameter(torch.zeros(2, 2))]
    for optimizer in (
        AdamW(parameters, foreach=True),
        AdamW(parameters, fused=False),
        AdamW(parameters, differentiable=True),
        AdamW(parameters, capturable=True),
        torch.optim.RMSprop(parameters),
    ):
        before = dict(optimizer.param_groups[0])
        fuse(optimizer)
        assert optimizer.param_groups[0] == before
