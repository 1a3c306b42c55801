import random
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from torch import Tensor
from torch.optim import SGD

from visiontasks import AutoencodingTask, ClassificationTask, DetectionTask, ShapesDataModule
from visiontasks.tasks.randomness import StepRandomness, seed_step
from visiontasks.tasks.task import Task

SMALL: dict[str, Any] = {"backbone_options": {"filters": [4, 8], "depth": 1}}
EPOCHS, BATCHES = 2, 4


class StopError(Exception):
    """Ends a training as a kill would: without another word to it."""


class Saving(Callback):
    """Writes a checkpoint at the end of one step, and stops there if asked to."""

    def __init__(self, folder: Path, batch: int, *, stop: bool) -> None:
        self.folder, self.batch, self.stop = folder, batch, stop

    def on_train_batch_end(self, trainer: Trainer, task: LightningModule, *args: object) -> None:
        if trainer.fit_loop.total_batch_idx == self.batch:
            trainer.save_checkpoint(self.folder / "stopped.ckpt")
            if self.stop:
                raise StopError


class Drawing(Callback):
    """Draws random numbers in every hook around a step, a different number of them in every run."""

    def __init__(self, count: int) -> None:
        self.count = count

    def draw(self, *args: object) -> None:
        torch.rand(self.count)
        np.random.rand(self.count)  # noqa: NPY002 - what code of others draws from
        [random.random() for _ in range(self.count)]

    on_train_batch_start = on_train_batch_end = draw  # type: ignore[assignment]  # any arguments
    on_validation_batch_end = on_train_epoch_start = draw  # type: ignore[assignment]  # likewise


class Drawn(ClassificationTask):
    """Has its own training step, own hooks, and every kind of random number, all without a call of the base."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ANN401 - as in the base
        images = batch.images.float() / 255
        images = images + torch.rand_like(images) + float(np.random.rand()) + random.random()  # noqa: NPY002 - as users do
        (loss,) = self.losses(self(images), batch).values()
        return loss

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:  # noqa: ANN401 - as in Lightning
        pass

    def on_train_start(self) -> None:
        pass

    def configure_callbacks(self) -> list[Callback]:
        return [Callback()]


class Manual(ClassificationTask):
    """Steps its optimiser itself, twice a batch."""

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - the arguments of the base
        super().__init__(4, **kwargs)
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ANN401 - as in the base
        optimizer: Any = self.optimizers()
        for _ in range(2):
            optimizer.zero_grad()
            self.manual_backward(super().training_step(batch, batch_idx))
            optimizer.step()


def detector() -> DetectionTask:
    return DetectionTask(
        4,
        backbone_options={"filters": [4, 4, 4, 4], "depth": 1},
        fpn_width=8,
        head_width=8,
        rpn_batch_size_per_image=16,
        box_batch_size_per_image=8,
        rpn_post_nms_top_n=(40, 20),
    )


def stochastic_depth() -> ClassificationTask:
    return ClassificationTask(4, backbone="timm/resnet10t", backbone_options={"drop_path_rate": 0.5})


TASKS: dict[str, tuple[Callable[[], Task], str]] = {
    "dropout and mixup": (
        lambda: ClassificationTask(4, dropout=0.4, mixup=0.3, cutmix=1.0, **SMALL),
        "classification",
    ),
    "samplers": (detector, "detection"),
    "corruption and variational codes": (
        lambda: AutoencodingTask(6, denoising="gaussian", variational=True, image_size=(32, 32), **SMALL),
        "classification",
    ),
    "stochastic depth": (stochastic_depth, "classification"),
    "random numbers of a user": (lambda: Drawn(4, **SMALL), "classification"),
    "manual optimisation": (lambda: Manual(dropout=0.4, **SMALL), "classification"),
}


def train(
    task: Task,
    make_trainer: Callable[..., Trainer],
    kind: Any,  # noqa: ANN401 - one of the tasks of the data
    callbacks: list[Callback],
    ckpt_path: Path | None = None,
    accumulated: int = 1,
) -> Trainer:
    trainer = make_trainer(
        max_epochs=EPOCHS,
        callbacks=callbacks,
        accumulate_grad_batches=accumulated,
        val_check_interval=2,
        num_sanity_val_steps=0 if ckpt_path else 1,
    )
    data = ShapesDataModule(kind, train_size=2 * BATCHES, val_size=2, image_size=(32, 32), batch_size=2)
    trainer.fit(task, datamodule=data, ckpt_path=ckpt_path)
    return trainer


def same(one: object, other: object) -> bool:
    """Whether two nested states are equal bit for bit."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return isinstance(other, list | tuple) and all(same(*pair) for pair in zip(one, other, strict=True))
    return one == other


def state_of(trainer: Trainer) -> dict[str, object]:
    schedules: list[Any] = [config.scheduler for config in trainer.lr_scheduler_configs]
    return {
        "weights": trainer.lightning_module.state_dict(),
        "optimiser": [optimizer.state_dict() for optimizer in trainer.optimizers],
        "schedule": [
            {name: value for name, value in schedule.state_dict().items() if name != "lr_lambdas"}
            for schedule in schedules
        ],
    }


# There is a validation after every second batch: the stops are before one, in mid-epoch, and at an epoch's end.
@pytest.mark.parametrize(
    ("name", "stop", "accumulated"),
    [
        *product(["dropout and mixup"], [1, BATCHES - 1], [1]),
        *product(["samplers", "corruption and variational codes", "random numbers of a user"], [1], [1]),
        *(pytest.param("dropout and mixup", stop, 1, marks=pytest.mark.slow) for stop in (0, BATCHES + 1)),
        *(pytest.param("dropout and mixup", stop, 2, marks=pytest.mark.slow) for stop in (1, BATCHES)),
        *(pytest.param(name, 1, 1, marks=pytest.mark.slow) for name in ("stochastic depth", "manual optimisation")),
        *(pytest.param(name, BATCHES - 1, 1, marks=pytest.mark.slow) for name in TASKS if name != "dropout and mixup"),
    ],
)
def test_a_training_that_was_stopped_anywhere_ends_like_an_undisturbed_one(
    name: str,
    stop: int,
    accumulated: int,
    make_trainer: Callable[..., Trainer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    make, kind = TASKS[name]
    first = make().state_dict()

    def start(seed: int, folder: str, stop_there: bool, ckpt_path: Path | None = None) -> Trainer:
        torch.manual_seed(seed)
        task = make()
        if ckpt_path is None:
            task.load_state_dict(first)
            torch.manual_seed(5)
        callbacks: list[Callback] = [Drawing(seed)]
        if ckpt_path is None:
            callbacks.append(Saving(tmp_path / folder, stop, stop=stop_there))
        return train(task, make_trainer, kind, callbacks, ckpt_path, accumulated)

    whole = state_of(start(1, "whole", stop_there=False))
    with pytest.raises(StopError):
        start(2, "stopped", stop_there=True)
    # Nothing was seeded here: the seed comes from the checkpoint.
    resumed = state_of(start(3, "", stop_there=False, ckpt_path=tmp_path / "stopped" / "stopped.ckpt"))
    for part, value in whole.items():
        assert same(value, resumed[part]), part


class Noise(ClassificationTask):
    """Notes a random number of every generator in each training step."""

    def __init__(self) -> None:
        super().__init__(4, optimizer=lambda p: SGD(p, lr=0.0), **SMALL)
        self.drawn: list[tuple[float, float, float]] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ANN401 - as in the base
        self.drawn.append((torch.rand(()).item(), float(np.random.rand()), random.random()))  # noqa: NPY002 - as users do
        return super().training_step(batch, batch_idx)


def drawn_by(make_trainer: Callable[..., Trainer], rank: int = 0, accumulated: int = 1) -> list[tuple[float, ...]]:
    task = Noise()
    trainer = make_trainer(max_epochs=EPOCHS, accumulate_grad_batches=accumulated, num_sanity_val_steps=0)
    strategy: Any = trainer.strategy
    strategy.global_rank = rank
    data = ShapesDataModule(train_size=2 * BATCHES, val_size=2, image_size=(16, 16), batch_size=2)
    trainer.fit(task, datamodule=data)
    return [*task.drawn]


def test_every_step_epoch_process_and_seed_draws_its_own(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)

    def drawn(seed: int, **options: Any) -> list[tuple[float, ...]]:  # noqa: ANN401 - of the run
        torch.manual_seed(seed)
        return drawn_by(make_trainer, **options)

    first = drawn(1)
    assert len(first) == EPOCHS * BATCHES
    assert drawn(1) == first
    assert drawn(1, accumulated=2) == first
    runs = [first, drawn(2), drawn(1, rank=1)]
    for numbers in zip(*(step for run in runs for step in run), strict=True):
        assert len(set(numbers)) == 3 * EPOCHS * BATCHES


def test_the_seed_that_is_given_wins_over_the_checkpoint(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    trainer, randomness = make_trainer(), StepRandomness()
    task = ClassificationTask(4, **SMALL)

    def seed_of(state: dict[str, Any] | None) -> int | None:
        if state:
            randomness.load_state_dict(state)
        randomness.on_train_start(trainer, task)
        return randomness.seed

    torch.manual_seed(7)
    assert seed_of(None) == 7
    assert seed_of({"seed": 3}) == 3
    assert randomness.state_dict() == {"seed": 3}
    # The next training is another one.
    assert seed_of(None) == 7
    # Another variable that seed_everything sets is put back as well.
    monkeypatch.delenv("PL_SEED_WORKERS", raising=False)
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    monkeypatch.setenv("PL_SEED_WORKERS", "0")
    seed_everything(11, verbose=False)
    assert seed_of({"seed": 3}) == 11


def test_the_generator_of_another_device_is_seeded_without_torchs_round(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed", seeds.append)
    seed_step(torch.device("cuda", 0), 1, 2)
    assert seeds == [torch.initial_seed()]
    seed_step(torch.device("cpu"), 1, 2)
    assert len(seeds) == 1


def test_own_callbacks_come_after_others_and_before_those_that_write(make_trainer: Callable[..., Trainer]) -> None:
    class Other(Callback):
        pass

    trainer = make_trainer(callbacks=[Other()], enable_checkpointing=True, max_epochs=1)
    for _ in range(2):
        task = Drawn(4, **SMALL)
        data = ShapesDataModule(train_size=2, val_size=2, image_size=(16, 16), batch_size=2)
        trainer.validate(task, datamodule=data, verbose=False)
        callbacks = trainer.callbacks  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight
        names = [type(callback).__name__ for callback in callbacks]
        assert names.count("StepRandomness") == names.count("FiniteUpdates") == 1
        assert names.index("Other") < names.index("StepRandomness") < names.index("ModelCheckpoint")
        assert callbacks[names.index("StepRandomness")] in task.owned_callbacks
