import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BackboneFinetuning, ModelCheckpoint
from torch import Tensor, nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import OneCycleLR, StepLR
from torchvision.models import get_model_weights

from visiontasks import ClassificationBatch, ClassificationTask, ShapesDataModule, create_backbone
from visiontasks.errors import ArgumentError
from visiontasks.tasks.checkpoint import RECORD
from visiontasks.types import Statistics

Fit = Callable[..., Trainer]

SMALL: dict[str, Any] = {"filters": (4, 6), "depth": 1}


def equal_weights(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Tensor]]:
    """Put random weights into the cache of torch.hub, as those that torchvision has published for a model."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)

    def publish(name: str) -> dict[str, Tensor]:
        options = {"init_weights": False} if name in {"googlenet", "inception_v3"} else {}
        state: dict[str, Tensor] = torchvision.models.get_model(name, weights=None, **options).state_dict()
        torch.save(state, folder / get_model_weights(name).DEFAULT.url.rpartition("/")[2])
        return state

    return publish


@pytest.mark.parametrize(
    ("name", "published", "mode"),
    [
        ("resnet18", "resnet18", "imagenet"),
        ("googlenet-torchvision", "googlenet", "unit"),
        ("inception_v3", "inception_v3", "unit"),
    ],
)
def test_published_weights_choose_the_normalisation_and_are_not_needed_again(
    name: str,
    published: str,
    mode: str,
    hub: Callable[[str], dict[str, Tensor]],
    batch: ClassificationBatch,
    fit: Fit,
    tmp_path: Path,
) -> None:
    state = hub(published)
    task = ClassificationTask(3, backbone=name, backbone_weights="imagenet")
    assert all(torch.equal(value, state[key]) for key, value in task.backbone.state_dict().items())
    assert task.normalize.mode == mode
    fit(task, [batch], max_steps=1, limit_val_batches=0).save_checkpoint(tmp_path / "task.ckpt")
    saved = torch.load(tmp_path / "task.ckpt", weights_only=True)["hyper_parameters"]
    assert (saved["backbone_weights"], saved["normalization"]) == (None, mode)

    for file in (tmp_path / "hub" / "checkpoints").iterdir():
        file.unlink()
    loaded = ClassificationTask.load_from_checkpoint(tmp_path / "task.ckpt").eval()
    assert loaded.normalize.mode == mode
    with torch.no_grad():
        assert torch.equal(loaded(batch.images), task.eval()(batch.images))


class Pretrained(ClassificationTask):
    """Chooses the weights itself, so that they are no argument that a checkpoint could replace."""

    def __init__(self, weights: str, **kwargs: Any) -> None:  # noqa: ANN401 - the arguments of ClassificationTask
        super().__init__(num_classes=3, backbone_options=SMALL, backbone_weights=weights, **kwargs)


@pytest.fixture
def pretrained(fit: Fit, batch: ClassificationBatch, tmp_path: Path) -> Callable[..., Path]:
    """Make the checkpoint of a task of five classes with statistics that were measured elsewhere."""

    def make(mode: str | None = "dataset", **options: Any) -> Path:  # noqa: ANN401 - arguments of the task
        task = ClassificationTask(5, backbone_options=SMALL, normalization=mode, image_size=(12, 15), **options)  # type: ignore[arg-type]  # a mode
        task.normalize.set_statistics(Statistics(torch.rand(3), torch.rand(3), torch.rand(3, 12, 15)))
        fit(task, [batch], max_epochs=1).save_checkpoint(tmp_path / "pretrained.ckpt")
        return tmp_path / "pretrained.ckpt"

    return make


def test_a_task_that_chooses_its_weights_does_not_need_them_to_be_reloaded(
    pretrained: Callable[..., Path], fit: Fit, batch: ClassificationBatch, tmp_path: Path
) -> None:
    path = pretrained()
    task = Pretrained(str(path))
    assert task.normalize.mode == "dataset"
    fit(task, [batch], max_epochs=1).save_checkpoint(tmp_path / "task.ckpt")
    path.rename(tmp_path / "moved.ckpt")
    loaded = Pretrained.load_from_checkpoint(tmp_path / "task.ckpt", weights=str(path))
    assert equal_weights(loaded, task)
    assert loaded.normalize.mode == "dataset"


@pytest.mark.parametrize("mode", ["imagenet", "unit", "dataset", "channel_mean", "image_mean"])
@pytest.mark.parametrize("instance", [False, True])
def test_the_checkpoint_of_a_task_gives_its_normalisation(
    mode: str, instance: bool, pretrained: Callable[..., Path]
) -> None:
    path = pretrained(mode)
    saved = torch.load(path, weights_only=True)
    backbone: dict[str, Any] = (
        {"backbone": create_backbone("cnn", **SMALL)} if instance else {"backbone_options": SMALL}
    )
    task = ClassificationTask(3, backbone_weights=path, **backbone)
    assert task.normalize.mode == mode
    assert task.image_size == ((12, 15) if mode == "image_mean" else None)
    for key, value in task.state_dict().items():
        if not key.startswith("head."):
            assert torch.equal(value, saved["state_dict"][key]), key


def test_statistics_that_came_with_the_weights_are_kept_and_a_given_mode_is_measured_anew(
    pretrained: Callable[..., Path], make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    data = ShapesDataModule(train_size=4, val_size=2, size=(16, 16), batch_size=2)
    path = pretrained("dataset")
    theirs = torch.load(path, weights_only=True)["state_dict"]["normalize.mean"]
    for given, kept in ((None, True), ("dataset", False)):
        task = ClassificationTask(4, backbone_options=SMALL, backbone_weights=path, normalization=given)  # type: ignore[arg-type]  # a mode
        trainer = make_trainer(max_epochs=1, limit_val_batches=0)
        trainer.fit(task, datamodule=data)
        assert torch.equal(task.normalize.mean, theirs) == kept
        if not kept:
            torch.testing.assert_close(task.normalize.mean.flatten(), data.statistics().mean)
        trainer.save_checkpoint(tmp_path / "task.ckpt")
        again = ClassificationTask.load_from_checkpoint(tmp_path / "task.ckpt")
        make_trainer(max_epochs=1, limit_val_batches=0).fit(again, datamodule=data)
        assert torch.equal(again.normalize.mean, task.normalize.mean)


@pytest.mark.parametrize("in_channels", [1, 4])
def test_statistics_of_other_channels_are_measured_anew(in_channels: int, pretrained: Callable[..., Path]) -> None:
    path = pretrained("dataset")
    task = ClassificationTask(4, backbone_options=SMALL, backbone_weights=path, in_channels=in_channels)
    assert task.normalize.mode == "dataset"
    assert task.normalize.mean.shape == (in_channels, 1, 1)
    assert not task.normalize.measured


def test_a_mean_image_of_another_size_is_an_error(pretrained: Callable[..., Path]) -> None:
    with pytest.raises(ArgumentError, match=r"expect images of 12 x 15 pixels, .* image_size is \(8, 8\)"):
        ClassificationTask(4, backbone_options=SMALL, backbone_weights=pretrained("image_mean"), image_size=(8, 8))


def test_a_classifier_of_torchvision_gives_the_normalisation_of_its_architecture(tmp_path: Path) -> None:
    for name, mode in (("resnet18", "imagenet"), ("googlenet", "unit")):
        options = {"init_weights": False} if name == "googlenet" else {}
        torch.save(torchvision.models.get_model(name, weights=None, **options).state_dict(), tmp_path / "file.pth")
        ours = {"googlenet": "googlenet-torchvision"}.get(name, name)
        task = ClassificationTask(2, backbone=ours, backbone_weights=tmp_path / "file.pth")
        assert task.normalize.mode == mode
        task = ClassificationTask(2, backbone=create_backbone(ours), backbone_weights=tmp_path / "file.pth")
        assert task.normalize.mode == mode


def test_without_weights_the_normalisation_is_imagenets() -> None:
    assert ClassificationTask(2, backbone="googlenet-torchvision").normalize.mode == "imagenet"


@pytest.mark.parametrize("freeze", ["all", 1])
def test_frozen_parts_keep_weights_and_statistics_and_have_no_state(
    freeze: Any,  # noqa: ANN401 - as the argument
    fit: Fit,
    batch: ClassificationBatch,
    tmp_path: Path,
) -> None:
    task = ClassificationTask(
        3, backbone_options=SMALL, freeze=freeze, optimizer=partial(AdamW, lr=0.1, weight_decay=0.3)
    )
    before = {key: value.clone() for key, value in task.state_dict().items()}
    trainer = fit(task, [batch] * 2, max_epochs=2)
    changed = {key for key, value in task.state_dict().items() if not torch.equal(value, before[key])}
    expected = {"head.linear.weight", "head.linear.bias"}
    if freeze == 1:
        expected |= {key for key in before if key.startswith("backbone.stages.1.") and "conv.bias" not in key}
    assert changed == expected
    held = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    trained = {name for name, parameter in task.named_parameters() if id(parameter) in held}
    assert trained == {name for name, _ in task.named_parameters() if name in expected}
    trainer.save_checkpoint(tmp_path / "task.ckpt")
    loaded = ClassificationTask.load_from_checkpoint(tmp_path / "task.ckpt").train()
    assert [p.requires_grad for p in loaded.parameters()] == [p.requires_grad for p in task.parameters()]
    assert [m.training for m in loaded.backbone.modules()] == [m.training for m in task.train().backbone.modules()]


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
    defaults = {"unfreeze_backbone_at_epoch": 1, "lambda_func": double, "backbone_initial_ratio_lr": 0.1}
    return BackboneFinetuning(**(defaults | options))


def double(epoch: int) -> float:
    return 2.0


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_an_unfrozen_backbone_follows_the_schedule(schedule: Any, fit: Fit, batch: ClassificationBatch) -> None:  # noqa: ANN401 - a name
    notes = Notes()
    task = ClassificationTask(3, backbone_options=SMALL, freeze="all", lr_scheduler=schedule, warmup=0.0)
    before = {key: value.clone() for key, value in task.backbone.state_dict().items()}
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


def test_the_record_names_the_normalisation(pretrained: Callable[..., Path]) -> None:
    assert torch.load(pretrained("unit"), weights_only=True)[RECORD]["normalization"] == "unit"
