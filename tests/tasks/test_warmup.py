"""The rates that updates are made with, and those that are seen between them."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, OneCycleLR, ReduceLROnPlateau

from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.errors import ArgumentError

RATE = 0.5


class Noting(torch.optim.SGD):
    """Notes the rate of each update."""

    def __init__(self, params: Any, lr: float = RATE) -> None:  # noqa: ANN401 - as in torch
        super().__init__(params, lr)
        self.used: list[float] = []

    def step(self, closure: Any = None) -> Any:  # noqa: ANN401 - as in torch
        loss = closure()
        self.used.append(self.param_groups[0]["lr"])
        super().step()
        return loss


class Between(Callback):
    """Notes the rate after each batch."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, task: LightningModule, *args: Any) -> None:  # noqa: ANN401 - as in Lightning
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


def fit(make_trainer: Callable[..., Trainer], schedule: Any, warmup: float | None = 0.5, **options: Any) -> Any:  # noqa: ANN401 - see above
    data = ShapesDataModule(train_size=8, val_size=4, image_size=(16, 16), batch_size=2)
    task = ClassificationTask(
        4, backbone_options={"filters": [4], "depth": 1}, optimizer=Noting, lr_scheduler=schedule, warmup=warmup,
        lr_interval=options.pop("interval", "epoch"),
    )  # fmt: skip
    between = Between()
    trainer = make_trainer(**{"max_epochs": 2, "callbacks": [between], **options})
    trainer.fit(task, data)
    optimizer: Any = trainer.optimizers[0]
    return optimizer.used, between.seen


SCHEDULES = {
    "multiplies": lambda optimizer: ExponentialLR(optimizer, 0.5),
    "overwrites": lambda optimizer: LambdaLR(optimizer, lambda step: 0.5**step),
    "cycles": lambda optimizer: OneCycleLR(optimizer, RATE, total_steps=9),
    "looks at a metric": lambda optimizer: ReduceLROnPlateau(optimizer, patience=0, threshold=9.0, factor=0.5),
}


@pytest.mark.parametrize(
    ("kind", "interval"),
    [
        *product(("multiplies", "overwrites"), ("epoch", "step")),
        ("cycles", "step"),
        ("looks at a metric", "epoch"),
    ],
)
def test_the_first_updates_are_made_at_a_part_of_the_rate_of_any_schedule(
    kind: str, interval: str, make_trainer: Callable[..., Trainer]
) -> None:
    plain, _ = fit(make_trainer, SCHEDULES[kind], 0.0, interval=interval)
    warm, seen = fit(make_trainer, SCHEDULES[kind], 0.5, interval=interval)
    factors = [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]  # half of eight steps
    assert len(set(plain)) > 1
    assert warm == pytest.approx([rate * factor for rate, factor in zip(plain, factors, strict=True)], rel=1e-12)
    # The schedule goes on from rates that are its own, to the bit.
    _, without = fit(make_trainer, SCHEDULES[kind], 0.0, interval=interval)
    assert seen == without


def test_by_default_only_named_schedules_warm_up(make_trainer: Callable[..., Trainer]) -> None:
    used, _ = fit(make_trainer, SCHEDULES["multiplies"], None)
    assert used == [RATE] * 4 + [RATE / 2] * 4
    used, _ = fit(make_trainer, "constant", None, limit_train_batches=4)
    assert used == [RATE] * 8  # 5 % of 8 steps are none
    used, _ = fit(make_trainer, "constant", 0.5)
    assert used == [RATE * factor for factor in (0.25, 0.5, 0.75, 1, 1, 1, 1, 1)]


def test_accumulated_batches_are_one_step(make_trainer: Callable[..., Trainer]) -> None:
    used, _ = fit(make_trainer, lambda optimizer: LambdaLR(optimizer, lambda step: 1.0), 1.0, accumulate_grad_batches=2)
    assert used == [RATE * factor for factor in (0.25, 0.5, 0.75, 1)]


@pytest.mark.parametrize("schedule", ["cosine", SCHEDULES["multiplies"]])
def test_a_warm_up_is_a_share_of_all_steps(schedule: Any, make_trainer: Callable[..., Trainer]) -> None:  # noqa: ANN401 - see above
    with pytest.raises(ArgumentError, match=r"warmup is 3; expected a share of all training steps, 0 to 1"):
        ClassificationTask(4, lr_scheduler=schedule, warmup=3)
    with pytest.raises(ArgumentError, match=r"Warm-up .* the end: set max_epochs or max_steps"):
        fit(make_trainer, schedule, 0.5, max_epochs=-1)


def test_a_scaler_that_leaves_an_update_out_leaves_the_rate_as_it_is(make_trainer: Callable[..., Trainer]) -> None:
    task = ClassificationTask(
        4, backbone_options={"filters": [4], "depth": 1}, optimizer=lambda p: torch.optim.SGD(p, lr=RATE),
        lr_scheduler=SCHEDULES["multiplies"], lr_interval="step", warmup=1.0,
    )  # fmt: skip
    warm_up, trainer = task._parts.warm_up, make_trainer(max_epochs=1)
    trainer.precision_plugin.scaler = object()  # type: ignore[attr-defined]  # of that of float16
    task.trainer = trainer
    optimizer = torch.optim.SGD(task.parameters(), lr=RATE)
    trainer.strategy.optimizers = [optimizer]
    warm_up._steps = 4
    optimizer.register_step_pre_hook(warm_up._lower)
    optimizer.register_step_post_hook(warm_up._restore)
    warm_up.on_before_optimizer_step(trainer, task, optimizer)
    assert optimizer.param_groups[0]["lr"] == RATE  # the scaler does not call the step
    rates = []
    optimizer.register_step_pre_hook(lambda *_: rates.append(optimizer.param_groups[0]["lr"]))
    warm_up.on_before_optimizer_step(trainer, task, optimizer)
    optimizer.step()
    assert rates == [RATE / 4]
    assert optimizer.param_groups[0]["lr"] == RATE
