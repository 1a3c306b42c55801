import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import LambdaLR

from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.errors import CheckpointError

# To go on in the folder of the run is the point.
pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")


class TrainedIds(Callback):
    """Notes the images of each training step."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []

    def on_train_batch_start(self, trainer: Trainer, task: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ANN401 - as in Lightning
        self.seen.append(batch.ids.tolist())


class Run:
    """Trains a task for some epochs, with a checkpoint after each."""

    def __init__(
        self,
        make_trainer: Callable[..., Trainer],
        folder: Path,
        epochs: int,
        ckpt_path: Path | None = None,
        validate: bool = True,
        **options: Any,  # noqa: ANN401 - arguments of the task
    ) -> None:
        backbone = {"filters": [4], "depth": 1}
        self.task = ClassificationTask(4, backbone_options=backbone, normalization="dataset", **options)
        self.ids = TrainedIds()
        keep = ModelCheckpoint(folder, "{epoch}", save_top_k=-1, enable_version_counter=False)
        self.trainer = make_trainer(
            max_epochs=epochs,
            enable_checkpointing=True,
            callbacks=[keep, self.ids],
            limit_val_batches=5 if validate else 0,
            num_sanity_val_steps=0,
        )
        data = ShapesDataModule(train_size=11, val_size=3, image_size=(16, 16), batch_size=3, augmentation="default")
        self.trainer.fit(self.task, datamodule=data, ckpt_path=ckpt_path)


@pytest.mark.parametrize("validate", [True, False])
def test_a_resumed_training_ends_like_an_undisturbed_one(
    validate: bool, make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    whole = Run(make_trainer, tmp_path, 4, validate=validate)
    # It starts from other random weights, which the checkpoint replaces.
    rest = Run(make_trainer, tmp_path, 4, tmp_path / "epoch=1.ckpt", validate)
    for run in (whole, rest):
        assert (run.trainer.current_epoch, run.trainer.global_step) == (4, 16)
    assert rest.ids.seen == whole.ids.seen[8:]

    weights, rest_weights = whole.task.state_dict(), rest.task.state_dict()
    assert weights.keys() == rest_weights.keys()
    assert all(torch.equal(value, rest_weights[name]) for name, value in weights.items())
    moments, rest_moments = (run.trainer.optimizers[0].state_dict()["state"] for run in (whole, rest))
    assert moments.keys() == rest_moments.keys()
    for index, state in moments.items():
        assert all(torch.equal(value, rest_moments[index][name]) for name, value in state.items())
    metrics, rest_metrics = whole.trainer.callback_metrics, rest.trainer.callback_metrics
    assert metrics.keys() == rest_metrics.keys()
    for name, value in metrics.items():
        torch.testing.assert_close(value, rest_metrics[name], rtol=0, atol=0, equal_nan=True)  # classes without images


def rates(run: Run) -> list[float]:
    return [group["lr"] for group in run.trainer.optimizers[0].param_groups]


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_options_that_are_given_anew_win_over_the_checkpoint(
    schedule: str, make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    def run(epochs: int, path: Path | None, lr: float = 0.01, weight_decay: float = 0.05) -> Run:
        optimizer = partial(AdamW, lr=lr, weight_decay=weight_decay)
        return Run(make_trainer, tmp_path, epochs, path, lr_scheduler=schedule, optimizer=optimizer)

    path = tmp_path / "epoch=0.ckpt"
    run(1, None)
    as_before, anew = run(3, path), run(3, path, lr=0.02, weight_decay=0.1)
    assert anew.trainer.global_step == 12
    assert rates(anew) == pytest.approx([2 * rate for rate in rates(as_before)])
    groups = anew.trainer.optimizers[0].param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    # What comes back next time is what was given last.
    again = run(3, tmp_path / "epoch=1.ckpt", lr=0.02, weight_decay=0.1)
    weights = again.task.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in anew.task.state_dict().items())


def test_the_trainer_is_told_which_options_changed(
    make_trainer: Callable[..., Trainer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Run(make_trainer, tmp_path, 1)
    with caplog.at_level("INFO"):
        Run(make_trainer, tmp_path, 2, tmp_path / "epoch=0.ckpt", optimizer=partial(AdamW, lr=0.5, weight_decay=0.05))
    assert "other options than the checkpoint was trained with: lr 0.001 to 0.5." in caplog.text


def test_another_optimiser_starts_anew_from_the_weights(make_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    Run(make_trainer, tmp_path, 1)
    path = tmp_path / "epoch=0.ckpt"
    message = (
        r"trained with torch\.optim\.adamw\.AdamW, and would go on with torch\.optim\.sgd\.SGD: .* load_from_checkpoint"
    )
    with pytest.raises(CheckpointError, match=message):
        Run(make_trainer, tmp_path, 2, path, optimizer=partial(SGD, lr=0.1))
    task = ClassificationTask.load_from_checkpoint(path, optimizer=partial(SGD, lr=0.1))
    trainer = make_trainer(max_epochs=1)
    trainer.fit(task, datamodule=ShapesDataModule(train_size=4, val_size=1, image_size=(16, 16), batch_size=4))
    assert type(trainer.optimizers[0]) is SGD


def test_a_missing_file_is_an_error_and_no_fresh_start(make_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"There is no checkpoint .*epoch=9\.ckpt'"):
        Run(make_trainer, tmp_path, 1, tmp_path / "epoch=9.ckpt")
    assert not list(tmp_path.glob("*.ckpt"))


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks used")
@pytest.mark.parametrize("finished", [True, False])
def test_a_longer_training_goes_on_at_the_rate_of_its_own_schedule(
    finished: bool, make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    rates: list[float] = []

    class Note(TrainedIds):
        def on_train_batch_start(self, trainer: Trainer, task: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ANN401 - as above
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    first = Run(make_trainer, tmp_path, 2 if finished else 4, warmup=0.0)
    path = tmp_path / "epoch=1.ckpt"
    task = ClassificationTask(4, backbone_options={"filters": [4], "depth": 1}, normalization="dataset", warmup=0.0)
    data = ShapesDataModule(train_size=11, val_size=3, image_size=(16, 16), batch_size=3, augmentation="default")
    make_trainer(max_epochs=4, callbacks=[Note()]).fit(task, datamodule=data, ckpt_path=path)
    steps = len(first.ids.seen) // (2 if finished else 4)
    expected = [5e-4 * (1 + math.cos(math.pi * step / (4 * steps))) for step in range(2 * steps, 4 * steps)]
    assert rates == pytest.approx(expected)


class Two(ClassificationTask):
    """Steps backbone and head by optimisers of their own."""

    def __init__(self, rates: tuple[float, float]) -> None:
        super().__init__(4, backbone_options={"filters": [4], "depth": 1})
        self.rates = rates
        self.automatic_optimization = False

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - as Lightning documents it
        parts = (self.backbone, self.head)
        optimizers = [SGD(part.parameters(), rate) for part, rate in zip(parts, self.rates, strict=True)]
        return optimizers, [LambdaLR(optimizer, lambda _: 1.0) for optimizer in optimizers]

    def training_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ANN401 - as the base
        loss = super().training_step(batch, batch_idx)
        optimizers: Any = self.optimizers()
        self.manual_backward(loss)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()


def test_each_optimiser_goes_on_with_its_own_options(make_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    def train(rates: tuple[float, float], epochs: int, path: Path | None = None) -> Trainer:
        trainer = make_trainer(max_epochs=epochs)
        data = ShapesDataModule(train_size=6, val_size=3, image_size=(16, 16), batch_size=3)
        trainer.fit(Two(rates), datamodule=data, ckpt_path=path)
        return trainer

    train((0.1, 0.2), 1).save_checkpoint(tmp_path / "two.ckpt")
    trainer = train((0.1, 0.02), 2, tmp_path / "two.ckpt")
    assert [optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers] == [0.1, 0.02]
