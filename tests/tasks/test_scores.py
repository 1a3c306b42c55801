import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from visiontasks import ClassificationBatch, ClassificationTask, ShapesDataModule
from visiontasks.errors import ArgumentError
from visiontasks.types import ClassificationPredictions

SMALL: dict[str, Any] = {"backbone_options": {"filters": [4, 8], "depth": 1}}


def shapes(count: int = 32, batch_size: int = 8) -> ShapesDataModule:
    return ShapesDataModule(train_size=count, val_size=16, test_size=8, image_size=(16, 16), batch_size=batch_size)


class Own(ClassificationTask):
    """Logs what it likes."""

    def validation_step(self, batch: ClassificationBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.log("val/loss", F.cross_entropy(self(batch.images), batch.labels))
        self.log("val/accuracy", torch.tensor(1.0))


def test_a_step_of_ones_own_logs_what_it_logs_and_nothing_else(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(max_epochs=1)
    trainer.fit(Own(4, **SMALL), shapes())
    assert trainer.callback_metrics["val/accuracy"] == 1
    assert {name for name in trainer.callback_metrics if name.startswith("val/")} == {"val/accuracy", "val/loss"}


def test_the_progress_bar_shows_the_losses_and_what_is_monitored(make_trainer: Callable[..., Trainer]) -> None:
    class Watching(Callback):
        shown: set[str]

        def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            self.shown = {name for name in trainer.progress_bar_metrics if name.startswith("val/")}

    watching, data = Watching(), shapes()
    trainer = make_trainer(callbacks=[watching])
    trainer.validate(ClassificationTask(4, **SMALL), data, verbose=False)
    assert watching.shown == {"val/loss", "val/accuracy"}
    assert "val/f1" in trainer.callback_metrics
    # What belongs to the first of several loaders is shown under its own name alone.
    trainer.validate(ClassificationTask(4, **SMALL), [data.val_dataloader()] * 2, verbose=False)
    second = {f"val/{name}/dataloader_idx_1" for name in ("loss", "accuracy")}
    assert watching.shown == {"val/loss", "val/accuracy"} | second


def test_metrics_of_training_hold_no_graph(fit: Callable[..., Trainer]) -> None:
    seen = set()

    class Watching(ClassificationTask):
        def update_metrics(self, predictions: ClassificationPredictions, batch: ClassificationBatch) -> None:
            seen.add((self.training, predictions.probabilities.requires_grad))
            super().update_metrics(predictions, batch)

    images = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
    fit(Watching(2, **SMALL), [ClassificationBatch(images, torch.arange(4) % 2, torch.arange(4))], max_epochs=1)
    assert seen == {(True, False), (False, False)}


class StoppedError(Exception):
    """Ends a fit."""


class Interrupt(Callback):
    """Ends a fit in the middle of an epoch."""

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def on_train_batch_end(self, *_: Any) -> None:  # noqa: ANN401 - as in Lightning
        if self.stage == "train":
            raise StoppedError

    def on_validation_batch_end(self, *_: Any) -> None:  # noqa: ANN401 - as in Lightning
        if self.stage == "val":
            raise StoppedError


@pytest.mark.parametrize("stage", ["train", "val"])
def test_an_interrupted_epoch_leaves_nothing_behind(stage: str, make_trainer: Callable[..., Trainer]) -> None:
    class Counted(ClassificationTask):
        counted: list[int]

        def on_validation_epoch_end(self) -> None:
            self.counted = [int(self.scores.val_losses.count)]
            super().on_validation_epoch_end()

        def on_train_epoch_end(self) -> None:
            accuracy: Any = self.scores.train_metrics["accuracy"]
            self.counted.append(int((accuracy.tp + accuracy.fn).sum()))
            super().on_train_epoch_end()

    task = Counted(4, **SMALL)
    options: dict[str, Any] = {"max_epochs": 1, "num_sanity_val_steps": 0}
    with pytest.raises(StoppedError):
        make_trainer(**options, callbacks=[Interrupt(stage)]).fit(task, shapes())
    make_trainer(**options).fit(task, shapes())
    assert task.counted == [16, 32]


class Returns(ClassificationTask):
    """Has a loss of some kind."""

    def __init__(self, returned: Callable[[Tensor], object]) -> None:
        super().__init__(4, **SMALL)
        self.returned = returned

    def losses(self, outputs: Tensor, batch: ClassificationBatch) -> Any:  # noqa: ANN401 - right or wrong
        loss = F.cross_entropy(outputs, batch.labels)
        return self.returned(loss)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda loss: loss, "losses returned Tensor; expected a dict of named scalar tensors"),
        (lambda loss: {}, "losses returned {}"),
        (lambda loss: {"a": loss.expand(2)}, r"{'a': 'shape \[2\]'}"),
    ],
)
def test_losses_that_are_no_named_scalars_are_named(
    returned: Callable[[Tensor], Any], message: str, make_trainer: Callable[..., Trainer]
) -> None:
    with pytest.raises(ArgumentError, match=message):
        make_trainer(max_epochs=1).fit(Returns(returned), shapes())


def test_a_term_may_be_a_number(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(max_epochs=1)
    trainer.fit(Returns(lambda loss: {"cross_entropy": loss, "constant": 0.5}), shapes())
    metrics = trainer.callback_metrics
    assert metrics["val/loss_constant"] == 0.5
    assert metrics["val/loss"] == pytest.approx(float(metrics["val/loss_cross_entropy"]) + 0.5, abs=1e-6)


class Noting(ClassificationTask):
    """Notes the loss of each batch; some are infinite."""

    def __init__(self, infinite: tuple[int, ...] = ()) -> None:
        super().__init__(4, skip_nonfinite=1, warmup=0, **SMALL)
        self.noted: list[tuple[float, int]] = []
        self.infinite = infinite

    def losses(self, outputs: Tensor, batch: ClassificationBatch) -> dict[str, Tensor]:
        terms = super().losses(outputs, batch)
        if self.training:
            if len(self.noted) in self.infinite:
                terms = {name: term * torch.inf for name, term in terms.items()}
            self.noted.append((sum(term.item() for term in terms.values()), len(batch.images)))
        return terms


@pytest.mark.filterwarnings("ignore:The loss is not finite")
@pytest.mark.parametrize(("interval", "infinite"), [(50, ()), (1, ()), (2, (1,))])
def test_the_loss_of_an_epoch_is_its_mean_over_the_images(
    interval: int, infinite: tuple[int, ...], make_trainer: Callable[..., Trainer]
) -> None:
    task = Noting(infinite)
    trainer = make_trainer(max_epochs=1, accumulate_grad_batches=2, limit_val_batches=0, log_every_n_steps=interval)
    trainer.fit(task, shapes(count=36, batch_size=8))
    assert [count for _, count in task.noted] == [8, 8, 8, 8, 4]
    kept = [pair for pair in task.noted if math.isfinite(pair[0])]
    mean = sum(loss * count for loss, count in kept) / sum(count for _, count in kept)
    assert float(trainer.callback_metrics["train/loss"]) == pytest.approx(mean, rel=1e-6)
    assert mean != pytest.approx(kept[-1][0], rel=1e-3)  # which is the loss of the last batch
    assert ("train/loss_step" in trainer.callback_metrics) == (interval < 50)


class Endless(IterableDataset[Any]):
    """Has no length."""

    def __iter__(self) -> Iterator[Any]:
        for number in range(16):
            yield torch.randint(256, (3, 16, 16), dtype=torch.uint8), number % 4


def test_a_loader_without_a_length_needs_a_number_of_steps(make_trainer: Callable[..., Trainer]) -> None:
    loader = DataLoader(Endless(), batch_size=8)
    with pytest.raises(ArgumentError, match="for a loader without a length, max_steps or limit_train_batches"):
        make_trainer(max_epochs=2).fit(ClassificationTask(4, **SMALL), loader, loader)
    rates: list[float] = []

    class Note(Callback):
        def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:  # noqa: ANN401 - as in Lightning
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    make_trainer(max_steps=4, callbacks=[Note()]).fit(ClassificationTask(4, **SMALL, warmup=0), loader, loader)
    assert rates == pytest.approx([5e-4 * (1 + math.cos(math.pi * step / 4)) for step in range(4)])


class Saved(Callback):
    """Notes what each checkpoint would hold, beside what was logged."""

    def __init__(self) -> None:
        self.pairs: list[tuple[float, float]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            path = f"{trainer.default_root_dir}/saved.ckpt"
            trainer.save_checkpoint(path)
            saved = torch.load(path, weights_only=True)["state_dict"]["decision.temperature"]
            self.pairs.append((float(trainer.callback_metrics["val/temperature"]), float(saved)))


def test_averaged_weights_keep_the_temperature_that_was_fitted_to_them(make_trainer: Callable[..., Trainer]) -> None:
    saved = Saved()
    trainer = make_trainer(max_epochs=2, callbacks=[EMAWeightAveraging(decay=0.9), saved])
    trainer.fit(ClassificationTask(4, calibrate=True, class_weights="balanced", **SMALL), shapes())
    assert len(saved.pairs) == 2
    assert all(logged == kept != 1 for logged, kept in saved.pairs)
