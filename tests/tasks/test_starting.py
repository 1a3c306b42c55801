import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.optim import AdamW
from torchvision.models import get_model_weights

from visiontasks import ClassificationBatch, ClassificationTask, ShapesDataModule, create_backbone
from visiontasks.description import Statistics
from visiontasks.errors import ArgumentError
from visiontasks.tasks.record import RECORD

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
        task = ClassificationTask(5, backbone_options=SMALL, normalization=mode, image_size=(12, 15), **options)
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


@pytest.mark.parametrize("mode", ["imagenet", "unit", "dataset", "channel_mean", "image_mean", "local_contrast"])
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
    data = ShapesDataModule(train_size=4, val_size=2, image_size=(16, 16), batch_size=2)
    path = pretrained("dataset")
    theirs = torch.load(path, weights_only=True)["state_dict"]["normalize.mean"]
    for given, kept in ((None, True), ("dataset", False)):
        task = ClassificationTask(4, backbone_options=SMALL, backbone_weights=path, normalization=given)
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


@pytest.mark.parametrize("in_channels", [3, 1])
def test_the_configuration_beside_weights_gives_the_normalisation(
    in_channels: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backbone = create_backbone("cnn", **SMALL)
    torch.save(backbone.state_dict(), tmp_path / "pytorch_model.bin")
    numbers = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}
    (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": numbers}))
    with caplog.at_level("INFO"):
        task = ClassificationTask(2, backbone_options=SMALL, backbone_weights=tmp_path, in_channels=in_channels)
    mean, std = (torch.tensor(of) for of in (numbers["mean"], numbers["std"]))
    expected = (mean, std) if in_channels == 3 else (mean.mean()[None], std.mean()[None])
    torch.testing.assert_close((task.normalize.mean.flatten(), task.normalize.std.flatten()), expected)
    assert "as the configuration of these weights says" in caplog.text
    given = ClassificationTask(2, backbone_options=SMALL, backbone_weights=tmp_path, normalization="unit")
    assert given.normalize.mode == "unit"


def test_without_weights_the_normalisation_is_imagenets() -> None:
    assert ClassificationTask(2, backbone="googlenet-torchvision").normalize.mode == "imagenet"


@pytest.mark.filterwarnings("ignore:freeze is .* random weights:UserWarning")
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


def test_the_record_names_the_normalisation(pretrained: Callable[..., Path]) -> None:
    assert torch.load(pretrained("unit"), weights_only=True)[RECORD]["normalization"] == "unit"
