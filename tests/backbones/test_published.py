"""Torchvision's models lend their names and shapes; their weights are random, and no test reaches the network."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import timm
import torch
import torchvision
from torchvision.models import get_model_weights

from tests.backbones.states import torchvision_state
from visiontasks import ClassificationTask, create_backbone, list_backbones
from visiontasks.backbones.published import PUBLISHED, published_by_timm
from visiontasks.backbones.weights import load_weights, read_weights
from visiontasks.errors import ArgumentError, CheckpointError, DownloadError


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point the cache of torch.hub to an empty folder."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


def cached(hub: Path, name: str) -> Path:
    url: str = get_model_weights(name).DEFAULT.url
    return hub / url.rpartition("/")[2]


@pytest.mark.parametrize("name", ["resnet18", "alexnet", "googlenet-torchvision", "inception_v3", "vgg11-bn"])
def test_published_weights_load_from_the_cache_without_a_network(name: str, hub: Path) -> None:
    state = torchvision_state(PUBLISHED[name])
    torch.save(state, cached(hub, PUBLISHED[name]))
    backbone = create_backbone(name)
    report = load_weights(backbone, read_weights("imagenet", name))
    loaded = {key: value for key, value in backbone.state_dict().items() if "num_batches" not in key}
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())
    assert report.loaded == sorted(loaded)
    left_out = {key for keys in report.left_out.values() for key in keys}
    assert left_out == state.keys() - loaded.keys()
    assert {key.partition(".")[0] for key in left_out} <= {"fc", "classifier", "aux1", "aux2", "AuxLogits"}
    assert f"torchvision's {get_model_weights(PUBLISHED[name]).__name__}.IMAGENET1K_V1" in str(report)


@pytest.mark.parametrize("name", list_backbones())
def test_published_weights_have_the_names_and_shapes_of_the_backbone(name: str) -> None:
    if name not in PUBLISHED:
        with pytest.raises(ArgumentError, match=f"no weights for backbone '{name}'. It has for alexnet, .*vgg11-bn"):
            read_weights("imagenet", name)
        return
    with torch.device("meta"):
        options = {"init_weights": False} if name in {"googlenet-torchvision", "inception_v3"} else {}
        theirs = torchvision.models.get_model(PUBLISHED[name], weights=None, **options).state_dict()
        own = create_backbone(name).state_dict()
    assert {key: theirs[key].shape for key in own} == {key: value.shape for key, value in own.items()}


def test_an_instance_has_no_published_weights() -> None:
    with pytest.raises(ArgumentError, match="no weights for a backbone that was passed as an instance"):
        read_weights("imagenet")


def test_a_failed_download_names_the_address_and_the_file(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        reason = "name resolution failed"
        raise URLError(reason)

    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    with pytest.raises(DownloadError) as caught:
        read_weights("imagenet", "resnet18")
    assert get_model_weights("resnet18").DEFAULT.url in str(caught.value)
    assert str(cached(hub, "resnet18")) in str(caught.value)
    assert "name resolution failed" in str(caught.value)


def test_a_damaged_file_in_the_cache_is_named(hub: Path) -> None:
    cached(hub, "resnet18").write_bytes(b"half")
    with pytest.raises(CheckpointError, match=rf"{cached(hub, 'resnet18')}', the downloaded .* Delete it"):
        read_weights("imagenet", "resnet18")


def test_torchvision_is_imported_for_published_weights_only() -> None:
    code = "import sys, visiontasks.backbones, visiontasks.backbones.weights; assert 'torchvision' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """Stand in for what timm would download: weights of a known draw."""
    create, weights = timm.create_model, dict[str, torch.Tensor]()

    def stored(name: str, pretrained: bool = False, **options: Any) -> torch.nn.Module:  # noqa: ANN401 - as timm's
        model: torch.nn.Module = create(name, **options)
        if pretrained:
            weights.update(model.state_dict())
        return model

    monkeypatch.setattr(timm, "create_model", stored)
    return weights


@pytest.mark.parametrize("in_channels", [3, 1])
def test_published_weights_bring_their_normalisation(in_channels: int, published: dict[str, torch.Tensor]) -> None:
    task = ClassificationTask(
        2, backbone="timm/test_resnet", backbone_weights="imagenet", in_channels=in_channels, image_size=(64, 64)
    )
    assert (task.normalize.mode, task.hparams["backbone_weights"]) == ("unit", None)
    for name, value in task.backbone.state_dict().items():
        expected = published[name.removeprefix("model.")]
        if value.shape != expected.shape:
            expected = expected.sum(1, keepdim=True)
        torch.testing.assert_close(value, expected)
    assert (
        ClassificationTask(2, backbone="timm/convnext_atto", backbone_weights="imagenet").normalize.mode == "imagenet"
    )


def test_published_weights_of_clip_bring_the_numbers_of_their_pixels(
    published: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    value = partial(timm.get_pretrained_cfg_value, "vit_base_patch16_clip_224")
    monkeypatch.setattr(timm, "get_pretrained_cfg_value", lambda name, key: value(key))
    task = ClassificationTask(2, backbone="timm/test_resnet", backbone_weights="imagenet", image_size=(64, 64))
    numbers: dict[str, Any] = {key: list(value(key) or ()) for key in ("mean", "std")}
    assert task.normalize.mode == task.hparams["normalization"] == numbers
    torch.testing.assert_close(task.normalize.mean.flatten(), torch.tensor(numbers["mean"]))
    torch.testing.assert_close(task.normalize.std.flatten(), torch.tensor(numbers["std"]))


def test_a_failed_download_of_timm_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        message = "no network"
        raise OSError(message)

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(
        DownloadError, match=r"weights of 'timm/resnet18' could not be downloaded \(OSError: no network"
    ):
        published_by_timm("resnet18")
