"""Torchvision's models lend their names and shapes; their weights are random, and no test reaches the network."""

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import get_model_weights

from visiontasks import ClassificationTask, create_backbone, list_backbones
from visiontasks.backbones import Backbone
from visiontasks.backbones.input_channels import adapt_input_channels
from visiontasks.backbones.published import PUBLISHED
from visiontasks.backbones.weights import load_weights, read_weights
from visiontasks.errors import ArgumentError, CheckpointError, DownloadError

State = dict[str, Tensor]


def torchvision_state(name: str) -> State:
    """Make the state dict of torchvision's model as old files are: without the counters of batches."""
    options = {"init_weights": False} if name in {"googlenet", "inception_v3"} else {}
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None, **options)
    shapes = {key: value.shape for key, value in model.state_dict().items() if "num_batches" not in key}
    return {key: torch.rand(shape) / 10 for key, shape in shapes.items()}


def equal(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Any], Path]:
    """Save what is given to a file."""

    def run(content: Any) -> Path:  # noqa: ANN401 - anything
        torch.save(content, tmp_path / "weights.pt")
        return tmp_path / "weights.pt"

    return run


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
    assert equal(loaded, {key: state[key] for key in loaded})
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


@pytest.mark.parametrize("form", ["backbone", "compiled", "task", "checkpoint", "compiled checkpoint", "half"])
def test_files_of_our_own_load(form: str, save: Callable[[Any], Path]) -> None:
    options: dict[str, Any] = {"filters": [4, 6], "depth": 1}
    task = ClassificationTask(5, backbone_options=options)
    for value in task.backbone.state_dict().values():
        value.copy_(torch.randint(9, value.shape))
    state = task.state_dict()
    wrapped = {key.replace("backbone.", "backbone._orig_mod."): value for key, value in state.items()}
    contents = {
        "backbone": task.backbone.state_dict(),
        "compiled": {f"_orig_mod.{key}": value for key, value in task.backbone.state_dict().items()},
        "task": state,
        "checkpoint": {"state_dict": state, "epoch": 3},
        "compiled checkpoint": {"state_dict": wrapped, "epoch": 3},
        "half": {key: value.half() for key, value in state.items()},
    }
    backbone = create_backbone("cnn", **options)
    report = load_weights(backbone, read_weights(save(contents[form])))
    assert equal(backbone.state_dict(), task.backbone.state_dict())
    expected = set() if form in {"backbone", "compiled"} else {key for key in state if not key.startswith("backbone.")}
    assert {key for keys in report.left_out.values() for key in keys} == expected


def test_the_report_says_what_was_left_out_and_why(
    save: Callable[[Any], Path], caplog: pytest.LogCaptureFixture
) -> None:
    state = ClassificationTask(5, backbone_options={"filters": [4], "depth": 1}).state_dict()
    path = save({"state_dict": state})
    with caplog.at_level("INFO"):
        report = load_weights(create_backbone("cnn", 1, filters=(4,), depth=1), read_weights(path))
    assert report.left_out["other parts of the task (head)"] == ["head.linear.weight", "head.linear.bias"]
    assert caplog.messages == [
        f"Backbone weights: 6 tensors from '{path}', all that the backbone has; stages.0.0.conv.weight adapted from 3 "
        "to 1 channels; left out other parts of the task (normalize): normalize.mean, normalize.std and 1 more; "
        "left out other parts of the task (head): head.linear.weight, head.linear.bias; "
        "left out other parts of the task (decision): decision.temperature, decision.thresholds."
    ]


class Nested(Backbone):
    """Has a part that is called as a task calls its backbone."""

    channels, strides = (4,), (2,)

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.backbone(images)]


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_a_part_named_backbone_is_no_task(prefix: str, save: Callable[[Any], Path]) -> None:
    state = Nested().state_dict()
    backbone = Nested()
    load_weights(backbone, read_weights(save({f"{prefix}{key}": value for key, value in state.items()})))
    assert equal(backbone.state_dict(), state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", "  layer3.0.conv1.weight: not in the source\n"),
        ("shape", r"  layer3.0.conv1.weight: \[4, 2\] in the source, \[256, 128, 3, 3\] in the backbone\n"),
        ("more", "  layer9.weight: not in the backbone\n"),
        ("first", r"  conv1.weight: \[64, 5, 7, 7\] in the source, \[64, 3, 7, 7\] in the backbone\n"),
    ],
)
def test_a_mismatch_lists_the_keys_and_copies_nothing(change: str, message: str, save: Callable[[Any], Path]) -> None:
    state = torchvision_state("resnet18")
    key = "layer3.0.conv1.weight"
    changes = {"shape": (key, (4, 2)), "more": ("layer9.weight", (1,)), "first": ("conv1.weight", (64, 5, 7, 7))}
    if change == "missing":
        del state[key]
    else:
        changed, shape = changes[change]
        state[changed] = torch.zeros(shape)
    backbone = create_backbone("resnet18")
    before = copy.deepcopy(backbone.state_dict())
    with pytest.raises(CheckpointError, match=message):
        load_weights(backbone, read_weights(save(state)))
    assert equal(backbone.state_dict(), before)


def test_weights_of_another_architecture_are_an_error(save: Callable[[Any], Path]) -> None:
    path = save({"state_dict": ClassificationTask(5, backbone_options={"filters": [4]}).state_dict()})
    with pytest.raises(CheckpointError, match=r"stages\.0\.0\.conv\.weight: not in the backbone"):
        load_weights(create_backbone("resnet18"), read_weights(path))


@pytest.mark.parametrize(("content", "found"), [({"epoch": 3}, r"\['epoch'\]"), ([1], "list"), ({}, "dict")])
def test_a_file_without_weights_is_an_error(content: object, found: str, save: Callable[[Any], Path]) -> None:
    with pytest.raises(CheckpointError, match=rf"weights.pt' holds no weights: .*, found {found}\."):
        read_weights(save(content))


@pytest.mark.parametrize("name", ["imagnet", "gone.pt", "/gone/"])
def test_a_file_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"backbone_weights is '{name}', and there is no such file. Expected 'imag"):
        read_weights(name)


def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=f"is '{tmp_path}', and that folder holds no checkpoint. Expected 'imag"):
        read_weights(tmp_path)


@pytest.mark.parametrize("in_channels", [1, 2, 3, 4, 13])
def test_adapted_filters_respond_to_grey_images_as_before(in_channels: int) -> None:
    weight, grey = torch.randn(8, 3, 5, 5), torch.randn(2, 1, 9, 9)
    adapted = adapt_input_channels(weight, in_channels)
    expected = nn.functional.conv2d(grey.expand(-1, 3, -1, -1), weight)
    found = nn.functional.conv2d(grey.expand(-1, in_channels, -1, -1), adapted)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_adapted_filters_are_the_sum_or_copies() -> None:
    weight = torch.randn(8, 3, 5, 5)
    assert torch.equal(adapt_input_channels(weight, 3), weight)
    torch.testing.assert_close(adapt_input_channels(weight, 1), weight.sum(1, keepdim=True))
    red, green, blue = weight.unbind(1)
    torch.testing.assert_close(adapt_input_channels(weight, 2), torch.stack([red + blue / 2, green + blue / 2], 1))
    torch.testing.assert_close(adapt_input_channels(weight, 4), torch.stack([red / 2, green, blue, red / 2], 1))
    # As timm's adapt_input_conv where the number is a multiple of three.
    torch.testing.assert_close(adapt_input_channels(weight, 6), weight.repeat(1, 2, 1, 1) * 3 / 6)


@pytest.mark.parametrize("in_channels", [1, 2, 3, 4, 13])
@pytest.mark.parametrize("name", ["resnet18", "alexnet", "googlenet-torchvision", "inception_v3"])
def test_weights_of_colour_images_take_any_number_of_channels(
    name: str, in_channels: int, save: Callable[[Any], Path]
) -> None:
    path = save(torchvision_state(PUBLISHED[name]))
    colour, other = create_backbone(name).eval(), create_backbone(name, in_channels).eval()
    assert load_weights(colour, read_weights(path)).adapted is None
    assert (load_weights(other, read_weights(path)).adapted is None) == (in_channels == 3)
    grey = torch.randn(1, 1, 40, 33)
    with torch.no_grad():
        pairs = zip(other(grey.expand(-1, in_channels, -1, -1)), colour(grey.expand(-1, 3, -1, -1)), strict=True)
        for feature, expected in pairs:
            torch.testing.assert_close(feature, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())
    # A file whose first layer fits is taken as it is.
    again = create_backbone(name, in_channels)
    assert load_weights(again, read_weights(save(other.state_dict()))).adapted is None
    assert equal(again.state_dict(), other.state_dict())


def test_torchvision_is_imported_for_published_weights_only() -> None:
    code = "import sys, visiontasks.backbones, visiontasks.backbones.weights; assert 'torchvision' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
