from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BackboneFinetuning, ModelCheckpoint, StochasticWeightAveraging
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR

from visiontasks import ClassificationBatch, ClassificationTask, ShapesDataModule
from visiontasks.errors import ArgumentError, CheckpointError

pytestmark = pytest.mark.filterwarnings("ignore:freeze is .* random weights:UserWarning")

Fit = Callable[..., Trainer]

SMALL: dict[str, Any] = {"filters": (4, 6), "depth": 1}


def equal_weights(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


class Notes(Callback):
    """Notes what each training step is made with."""

    def __init__(self) -> None:
        self.rates: list[list[float]] = []
        self.modes: list[bool] = []

    def on_train_batch_start(self, trainer: Trainer, task: LightningModule, batch: object, batch_idx: int) -> None:
        self.rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])
        (norm, *_) = (module for module in task.modules() if isinstance(module, nn.BatchNorm2d))
        self.modes.append(norm.training)


def unfreezing(**options: Any) -> BackboneFinetuning:  # noqa: ANN401 - of the callback
    defaults: dict[str, Any] = {
        "unfreeze_backbone_at_epoch": 1,
        "lambda_func": double,
        "backbone_initial_ratio_lr": 0.1,
    }
    return BackboneFinetuning(**(defaults | options))


def double(epoch: int) -> float:
    return 2.0


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_an_unfrozen_backbone_follows_the_schedule(schedule: Any, fit: Fit, batch: ClassificationBatch) -> None:  # noqa: ANN401 - a name
    notes = Notes()
    task = ClassificationTask(3, backbone_options=SMALL, freeze="all", lr_scheduler=schedule, warmup=0.0)
    before = {key: value.clone() for key, value in task.backbone.state_dict().items()}
    with pytest.warns(UserWarning, match="unfreezes the backbone at epoch 1, and the last epoch is 0"):
        trainer = fit(task, [batch] * 2, max_epochs=1, callbacks=[unfreezing()])
    assert all(torch.equal(value, before[key]) for key, value in task.backbone.state_dict().items())

    task = ClassificationTask(3, backbone_options=SMALL, freeze="all", lr_scheduler=schedule, warmup=0.0)
    trainer = fit(task, [batch] * 2, max_epochs=3, callbacks=[unfreezing(), notes], num_sanity_val_steps=1)
    assert notes.modes == [False, False, True, True, True, True]
    assert all(
        not torch.equal(value, before[key]) for key, value in task.backbone.state_dict().items() if "mean" in key
    )
    assert [len(rates) for rates in notes.rates] == [2, 2, 4, 4, 4, 4]
    head = [rates[0] for rates in notes.rates]
    backbone = [rates[-1] for rates in notes.rates[2:]]
    # A tenth in the second epoch, and in the third twice the rate that the second began with, as the callback says.
    expected = [0.1 * head[2], 0.1 * head[3], 0.2 * head[2], 0.2 * head[2] * head[5] / head[4]]
    assert backbone == pytest.approx(expected)
    assert all(rates[2] == rates[3] for rates in notes.rates[2:])

    groups = trainer.optimizers[0].param_groups
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0, 0.0, 0.05]
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert {name: decays[id(p)] for name, p in task.named_parameters()} == {
        name: 0.05 if p.ndim > 1 else 0.0 for name, p in task.named_parameters()
    }


def test_a_schedule_of_ones_own_survives_unfreezing(fit: Fit, batch: ClassificationBatch) -> None:
    notes = Notes()
    options: dict[str, Any] = {
        "optimizer": partial(SGD, lr=0.1),
        "lr_scheduler": partial(StepLR, step_size=2, gamma=0.5),
    }
    task = ClassificationTask(3, backbone_options=SMALL, freeze="all", **options)
    fit(task, [batch], max_epochs=4, callbacks=[unfreezing(), notes])
    assert notes.rates == [[0.1], [0.1, pytest.approx(0.01)], [0.05, pytest.approx(0.02)], [0.05, pytest.approx(0.04)]]


def test_batch_norm_stays_frozen_where_the_callback_leaves_it_out(fit: Fit, batch: ClassificationBatch) -> None:
    task = ClassificationTask(3, backbone_options=SMALL, freeze="all")
    before = {key: value.clone() for key, value in task.backbone.state_dict().items()}
    fit(task, [batch], max_epochs=2, callbacks=[unfreezing(train_bn=False)])
    changed = {key for key, value in task.backbone.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"stages.0.0.conv.weight", "stages.1.0.conv.weight"}


def test_it_is_said_once_when_a_backbone_is_unfrozen(
    fit: Fit, batch: ClassificationBatch, caplog: pytest.LogCaptureFixture
) -> None:
    task = ClassificationTask(3, backbone_options=SMALL, freeze="all")
    number = sum(parameter.numel() for parameter in task.parameters())
    with caplog.at_level("INFO"):
        fit(task, [batch], max_epochs=3, callbacks=[unfreezing()])
    (said,) = (text for text in caplog.messages if "unfrozen" in text)
    assert said == (
        f"Epoch 1: a callback has unfrozen layers. From now on {number} of {number} parameters are trained."
    )


@pytest.mark.filterwarnings("ignore:The dirpath has changed from")
@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_a_training_that_unfreezes_resumes_as_if_undisturbed(
    epochs: int, fit: Fit, batch: ClassificationBatch, tmp_path: Path
) -> None:
    def run(max_epochs: int, path: Path | None = None) -> ClassificationTask:
        torch.manual_seed(1)
        task = ClassificationTask(3, backbone_options=SMALL, freeze="all")
        saver = ModelCheckpoint(tmp_path / ("resumed" if path else "whole"), filename="{epoch}", save_top_k=-1)
        options: dict[str, Any] = {"callbacks": [unfreezing(), saver], "enable_checkpointing": True}
        fit(task, [batch] * 2, ckpt_path=path, max_epochs=max_epochs, **options)
        return task

    whole = run(4)
    resumed = run(4, tmp_path / "whole" / f"epoch={epochs - 1}.ckpt")
    assert equal_weights(resumed, whole)


@pytest.mark.parametrize("changed", [{"freeze": "none"}, {"freeze": "none", "backbone_lr_factor": 0.1}, {"freeze": 1}])
def test_going_on_with_other_parameters_is_an_error(
    changed: dict[str, Any], fit: Fit, batch: ClassificationBatch, tmp_path: Path
) -> None:
    task = ClassificationTask(3, backbone_options=SMALL, freeze="all")
    fit(task, [batch], max_epochs=1).save_checkpoint(tmp_path / "task.ckpt")
    task = ClassificationTask(3, backbone_options=SMALL, **changed)
    with pytest.raises(CheckpointError, match=r"has \[1, 1\] parameters in its groups, .* with the same freeze"):
        fit(task, [batch], max_epochs=2, ckpt_path=tmp_path / "task.ckpt")
    # As another training from the same weights it may.
    task = ClassificationTask.load_from_checkpoint(tmp_path / "task.ckpt", **changed)
    assert fit(task, [batch], max_epochs=1).global_step == 1


def test_averaging_that_would_spoil_frozen_statistics_is_refused(make_trainer: Callable[..., Trainer]) -> None:
    task = ClassificationTask(4, backbone_options={"filters": [4], "depth": 1}, freeze="all")
    trainer = make_trainer(max_epochs=2, callbacks=[StochasticWeightAveraging(1e-3)])
    with pytest.raises(ArgumentError, match="Use EMAWeightAveraging, or freeze='none'"):
        trainer.fit(task, ShapesDataModule(train_size=4, val_size=2, image_size=(16, 16), batch_size=2))
