"""Features and logits against torchvision's for the same weights."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.transforms._presets import ImageClassification

from visiontasks import ClassificationTask
from visiontasks.backbones.alexnet import AlexNet
from visiontasks.backbones.backbone import Backbone
from visiontasks.backbones.googlenet import googlenet, googlenet_torchvision
from visiontasks.backbones.inception_v3 import InceptionV3
from visiontasks.backbones.resnet import resnet18, resnet34, resnet50, resnet101, resnet152
from visiontasks.backbones.vgg import vgg11, vgg13, vgg16, vgg19
from visiontasks.tasks.normalization import Normalize

HEADS = ("fc.", "classifier.", "aux1.", "aux2.", "AuxLogits.")
RESNETS = {"resnet18": resnet18, "resnet34": resnet34, "resnet50": resnet50}
RESNETS |= {"resnet101": resnet101, "resnet152": resnet152}
VGGS = {"vgg11": vgg11, "vgg13": vgg13, "vgg16": vgg16, "vgg19": vgg19}
QUICK = {"resnet18", "resnet50", "vgg11_bn"}


def quick_first(names: list[str]) -> list[object]:
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


def reference(name: str) -> nn.Module:
    """Create torchvision's model with random weights and statistics that are not the initial ones."""
    options = {"init_weights": False} if name in {"googlenet", "inception_v3"} else {}
    model: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1)
            nn.init.normal_(module.bias, 0, 0.1)
            module.running_mean = torch.randn(module.num_features) / 10
            module.running_var = torch.rand(module.num_features) + 0.5
    return model.eval()


def load(backbone: Backbone, model: nn.Module) -> Backbone:
    state = {name: value for name, value in model.state_dict().items() if not name.startswith(HEADS)}
    backbone.load_state_dict(state)  # strict: the same names and shapes
    kept = [value for name, value in model.named_parameters() if not name.startswith(HEADS)]
    assert sum(p.numel() for p in backbone.parameters()) == sum(value.numel() for value in kept)
    return backbone.eval()


def assert_same_features(backbone: Backbone, model: nn.Module, nodes: list[str], images: Tensor) -> None:
    with torch.no_grad():
        expected = create_feature_extractor(model, nodes, suppress_diff_warning=True)(images)
        for feature, node in zip(backbone(images), nodes, strict=True):
            torch.testing.assert_close(feature, expected[node], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", quick_first([*RESNETS]))
@pytest.mark.parametrize("size", [(64, 64), (97, 131), pytest.param((224, 224), marks=pytest.mark.slow)])
def test_resnets_give_the_same_features_at_every_size(name: str, size: tuple[int, int]) -> None:
    model = reference(name)
    nodes = ["relu", "layer1", "layer2", "layer3", "layer4"]
    assert_same_features(load(RESNETS[name](), model), model, nodes, torch.randn(2, 3, *size))


@pytest.mark.parametrize("name", quick_first([f"{name}{norm}" for name in VGGS for norm in ("", "_bn")]))
@pytest.mark.parametrize("size", [(64, 96), pytest.param((224, 224), marks=pytest.mark.slow)])
def test_vggs_give_the_same_features_at_multiples_of_32(name: str, size: tuple[int, int]) -> None:
    model = reference(name)
    backbone = load(VGGS[name.removesuffix("_bn")](batch_norm=name.endswith("_bn")), model)
    layers = model.get_submodule("features").named_children()
    pools = [int(index) for index, layer in layers if isinstance(layer, nn.MaxPool2d)]
    nodes = [f"features.{pool - 1}" for pool in pools] + [f"features.{pools[-1]}"]
    assert_same_features(backbone, model, nodes, torch.randn(2, 3, *size))


@pytest.mark.parametrize("size", [(64, 96), pytest.param((224, 224), marks=pytest.mark.slow)])
def test_googlenet_gives_the_same_features_at_multiples_of_32(size: tuple[int, int]) -> None:
    model = reference("googlenet")
    nodes = ["conv1", "conv3", "inception3b", "inception4e", "inception5b"]
    assert_same_features(load(googlenet_torchvision(), model), model, nodes, torch.randn(2, 3, *size))


def test_googlenet_has_the_shapes_of_torchvisions_but_for_the_5x5_filters() -> None:
    with torch.device("meta"):
        ours, theirs = googlenet(), googlenet_torchvision()
    shapes = {name: tuple(value.shape) for name, value in theirs.state_dict().items()}
    for name, value in ours.state_dict().items():
        expected = shapes.pop(name)
        large = name.endswith("branch3.1.conv.weight")
        assert tuple(value.shape) == ((*expected[:2], 5, 5) if large else expected)
    assert not shapes


def test_alexnet_differs_by_its_padding_only() -> None:
    model = reference("alexnet")
    backbone = load(AlexNet(), model)
    for name, layer in model.get_submodule("features").named_children():
        if isinstance(layer, nn.MaxPool2d):
            layer.padding = 1
        elif name == "0" and isinstance(layer, nn.Conv2d):
            layer.padding = (5, 5)
    nodes = ["features.1", "features.4", "features.11", "features.12"]
    for size in [(64, 64), (97, 131)]:
        assert_same_features(backbone, model, nodes, torch.randn(2, 3, *size))


@pytest.fixture(scope="module")
def inception_pair() -> tuple[Backbone, nn.Module]:
    model = reference("inception_v3")
    return load(InceptionV3(), model), model


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("5b", 192),
        ("5c", 256),
        ("5d", 288),
        ("6b", 768),
        ("6c", 768),
        ("6d", 768),
        ("6e", 768),
        ("7b", 1280),
        ("7c", 2048),
    ],
)
def test_inception_v3_modules_that_keep_the_size_are_the_same(
    inception_pair: tuple[Backbone, nn.Module], name: str, channels: int
) -> None:
    ours, theirs = (network.get_submodule(f"Mixed_{name}") for network in inception_pair)
    x = torch.rand(2, channels, 9, 8)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "channels"), [("6a", 288), ("7a", 768)])
def test_inception_v3_modules_that_halve_the_size_differ_at_the_border_only(
    inception_pair: tuple[Backbone, nn.Module], name: str, channels: int
) -> None:
    ours, theirs = (network.get_submodule(f"Mixed_{name}") for network in inception_pair)
    x = torch.rand(2, channels, 17, 17)
    inside = (..., slice(2, 7), slice(2, 7))
    with torch.no_grad():
        torch.testing.assert_close(ours(x)[inside], theirs(F.pad(x, (1, 1, 1, 1)))[inside], rtol=1e-5, atol=1e-5)


def test_inception_v3_starts_as_torchvisions_of_the_moved_image_away_from_the_border(
    inception_pair: tuple[Backbone, nn.Module],
) -> None:
    backbone, model = inception_pair
    images = torch.randn(1, 3, 192, 192)
    # One pixel for each unpadded filter, at strides 1, 2, 2, 4 and 4.
    moved = F.pad(images, (13, 13, 13, 13))
    inside = (..., slice(9, 15), slice(9, 15))
    with torch.no_grad():
        extractor = create_feature_extractor(model, ["Mixed_5d"], suppress_diff_warning=True)
        expected = extractor(moved)["Mixed_5d"]
        torch.testing.assert_close(backbone(images)[2][inside], expected[inside], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "published", "size"),
    [
        ("resnet18", "resnet18", (97, 131)),
        ("resnet50", "resnet50", (64, 64)),
        ("googlenet-torchvision", "googlenet", (64, 96)),
    ],
)
def test_logits_of_a_classifier_are_torchvisions(
    name: str, published: str, size: tuple[int, int], tmp_path: Path
) -> None:
    model = reference(published)
    if published == "googlenet":
        model.transform_input = True  # type: ignore[assignment]  # a switch, set when its published weights are loaded
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    task = ClassificationTask(1000, backbone=name, backbone_weights=tmp_path / "weights.pth").eval()
    task.head.linear.load_state_dict(model.get_submodule("fc").state_dict())
    images = torch.randint(256, (2, 3, *size), dtype=torch.uint8)
    preset = ImageClassification(crop_size=max(size))
    normalized = (images / 255 - torch.tensor(preset.mean)[:, None, None]) / torch.tensor(preset.std)[:, None, None]
    with torch.no_grad():
        expected = model(normalized)
        torch.testing.assert_close(task(images), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_the_networks_of_torchvision_that_transform_their_input_expect_unit(name: str) -> None:
    model: nn.Module = torchvision.models.get_model(name, weights=None, init_weights=False, transform_input=True)
    images = torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8)
    transformed = model._transform_input(Normalize("imagenet", 3)(images))  # type: ignore[operator]  # a method
    torch.testing.assert_close(Normalize("unit", 3)(images), transformed, rtol=1e-4, atol=1e-5)
