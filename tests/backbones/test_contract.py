"""What every architecture keeps: sizes, gradients, and the same features however they are computed."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from visiontasks.backbones.alexnet import AlexNet
from visiontasks.backbones.backbone import Backbone
from visiontasks.backbones.cnn import CNN
from visiontasks.backbones.googlenet import googlenet, googlenet_torchvision
from visiontasks.backbones.inception_v3 import InceptionV3
from visiontasks.backbones.resnet import resnet18, resnet34, resnet50, resnet101, resnet152
from visiontasks.backbones.vgg import vgg11, vgg13, vgg16, vgg19
from visiontasks.testing import check_backbone

RESNETS = {"resnet18": resnet18, "resnet34": resnet34, "resnet50": resnet50}
RESNETS |= {"resnet101": resnet101, "resnet152": resnet152}
VGGS = {"vgg11": vgg11, "vgg13": vgg13, "vgg16": vgg16, "vgg19": vgg19}
BUILDERS: dict[str, Callable[..., Backbone]] = {
    **RESNETS,
    **{f"{name}-small": partial(build, small_images=True) for name, build in RESNETS.items()},
    **VGGS,
    **{f"{name}-bn": partial(build, batch_norm=True) for name, build in VGGS.items()},
    "cnn": CNN,
    "cnn-strided": partial(CNN, stride=2, pool="none"),
    "alexnet": AlexNet,
    "googlenet": googlenet,
    "googlenet-plain": partial(googlenet, batch_norm=False),
    "googlenet-small": partial(googlenet, small_images=True),
    "googlenet-torchvision": googlenet_torchvision,
    "inception_v3": InceptionV3,
}
QUICK = {"resnet18", "resnet18-small", "vgg11", "alexnet", "googlenet", "cnn", "cnn-strided"}
NAMES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in BUILDERS]
DEEP = [pytest.param(name, marks=pytest.mark.slow if "101" in name or "152" in name else ()) for name in BUILDERS]


def relative_errors(features: list[Tensor], expected: list[Tensor]) -> list[float]:
    pairs = zip(features, expected, strict=True)
    return [((a.float() - b).norm() / b.norm()).item() for a, b in pairs]


@pytest.mark.parametrize("name", DEEP)
def test_features_have_the_stated_channels_and_strides_at_every_size(name: str) -> None:
    with torch.device("meta"):  # shapes without arithmetic
        backbone = BUILDERS[name]()
        for height, width in [(64, 64), (97, 131), (224, 224), (28, 32), (1, 1)]:
            features = backbone(torch.empty(2, 3, height, width))
            stated = zip(backbone.channels, backbone.strides, strict=True)
            expected = [(2, channels, -(-height // stride), -(-width // stride)) for channels, stride in stated]
            assert [tuple(feature.shape) for feature in features] == expected


@pytest.mark.parametrize("in_channels", [1, 13])
@pytest.mark.parametrize("name", sorted(QUICK))
def test_images_may_have_any_number_of_channels(name: str, in_channels: int) -> None:
    with torch.device("meta"):
        BUILDERS[name](in_channels)(torch.empty(2, in_channels, 32, 32))


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str) -> None:
    check_backbone(BUILDERS[name](), sizes=[(33, 40)] if name in QUICK else [(33, 40), (64, 64), (97, 131)])


@pytest.mark.parametrize("name", NAMES)
def test_frozen_stages_are_what_the_first_features_are_computed_by(name: str) -> None:
    backbone = BUILDERS[name]().eval()
    stages = backbone.stage_modules()
    assert len(stages) == len(backbone.channels)
    features = backbone(torch.rand(1, 3, 33, 33))
    for index, feature in enumerate(features):
        backbone.zero_grad()
        feature.square().mean().backward(retain_graph=True)
        reached = {key for key, value in backbone.named_parameters() if value.grad is not None}
        backbone.freeze(index + 1)
        assert {key for key, value in backbone.named_parameters() if not value.requires_grad} == reached
        backbone.freeze("none")
    assert len(reached) == len(list(backbone.parameters()))


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch_gives_empty_features(name: str) -> None:
    features = BUILDERS[name]().eval()(torch.empty(0, 3, 40, 33))
    assert all(feature.shape[0] == 0 and feature.numel() == 0 for feature in features)


@pytest.mark.parametrize("name", NAMES)
def test_channels_last_gives_the_same_features_in_channels_last_memory(name: str) -> None:
    backbone = BUILDERS[name]().eval()
    images = torch.randn(2, 3, 47, 64)
    with torch.no_grad():
        expected = backbone(images)
        features = backbone.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))
    assert max(relative_errors(features, expected)) < 1e-5
    assert all(feature.is_contiguous(memory_format=torch.channels_last) for feature in features)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_autocast_gives_nearly_the_same_features(name: str) -> None:
    backbone = BUILDERS[name]().eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = backbone(images)
        with torch.autocast("cpu", torch.bfloat16):
            features = backbone(images)
    assert max(relative_errors(features, expected)) < 0.1
    assert relative_errors(features, expected)[0] < 0.01


@pytest.mark.unchecked
@pytest.mark.parametrize("name", NAMES)
def test_export_keeps_the_features_at_every_size(name: str) -> None:
    backbone = BUILDERS[name]().eval()
    least = backbone.strides[-1] + 1  # torch treats maps of one pixel as a case of its own
    sides = [torch.export.Dim(side, min=least, max=4096) for side in ("height", "width")]
    sizes = {0: torch.export.Dim("batch"), 2: sides[0], 3: sides[1]}
    program = torch.export.export(backbone, (torch.randn(2, 3, 96, 64),), dynamic_shapes=(sizes,))
    for height, width in [(96, 64), (97, 131)]:
        images = torch.randn(3, 3, height, width)
        with torch.no_grad():
            assert max(relative_errors(program.module()(images), backbone(images))) < 1e-5


@pytest.mark.unchecked
@pytest.mark.parametrize("name", NAMES)
def test_compile_sees_one_graph_that_keeps_the_features(name: str) -> None:
    backbone = BUILDERS[name]().eval()
    images = torch.randn(2, 3, 47, 64)
    compiled = torch.compile(backbone, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        assert max(relative_errors(compiled(images), backbone(images))) < 1e-5
