from copy import deepcopy

import pytest
import torch
import torchvision
from torch import Tensor, nn

from visiontasks import ClassificationTask
from visiontasks.backbones import WrappedBackbone
from visiontasks.backbones.alexnet import AlexNet
from visiontasks.errors import ArgumentError
from visiontasks.testing import check_backbone

MOBILENET = ["features.0", "features.1", "features.3", "features.8", "features.12"]


class Small(nn.Module):
    """Two strided convolutions without padding, and a head for images of one size."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2)
        self.second = nn.Conv2d(4, 8, 3, stride=2)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(8 * 7 * 7, 5))

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.head(self.second(self.first(images).relu()))
        return scores


def mobilenet() -> WrappedBackbone:
    return WrappedBackbone(torchvision.models.mobilenet_v3_small(), MOBILENET)


def test_channels_and_strides_are_measured_and_the_head_is_cut() -> None:
    backbone = mobilenet()
    assert backbone.channels == (16, 16, 24, 48, 576)
    assert backbone.strides == (2, 4, 8, 16, 32)
    assert not any(name.startswith("module.classifier") for name, _ in backbone.named_parameters())


@pytest.mark.parametrize(
    ("network", "nodes"),
    [
        (Small, ["first", "second"]),
        (torchvision.models.mobilenet_v3_small, MOBILENET),
        (torchvision.models.alexnet, ["features.1", "features.4", "features.11", "features.12"]),
        (torchvision.models.resnet18, ["layer1", "layer2", "layer3"]),
        pytest.param(torchvision.models.swin_t, [f"features.{i}" for i in (1, 3, 5, 7)], marks=pytest.mark.slow),
        pytest.param(torchvision.models.densenet121, ["features.relu0", "features.norm5"], marks=pytest.mark.slow),
    ],
)
def test_contract(network: type[nn.Module], nodes: list[str]) -> None:
    check_backbone(WrappedBackbone(network(), nodes), sizes=[(64, 64), (97, 131), (33, 40), (1, 50)])


def test_features_are_the_outputs_of_the_nodes() -> None:
    network = torchvision.models.resnet18()
    backbone = WrappedBackbone(deepcopy(network), ["layer1", "layer4"]).eval()
    images = torch.randn(2, 3, 64, 96)
    network.eval()
    with torch.no_grad():
        x = network.layer1(network.maxpool(network.relu(network.bn1(network.conv1(images)))))
        expected = [x, network.layer4(network.layer3(network.layer2(x)))]
        for ours, theirs in zip(backbone(images), expected, strict=True):
            assert torch.equal(ours, theirs)


def test_a_network_without_padding_lies_over_the_image_as_one_with_padding() -> None:
    ours = AlexNet().eval()
    network = torchvision.models.alexnet()
    network.features.load_state_dict(ours.features.state_dict())
    wrapped = WrappedBackbone(network, ["features.1", "features.4", "features.11", "features.12"]).eval()
    images = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        first, padded = wrapped(images)[0], ours(images)[0]
        shifts = {
            (row, column): (first[..., 8:40, 8:40] - padded[..., 8 + row : 40 + row, 8 + column : 40 + column]).norm()
            for row in (-1, 0, 1)
            for column in (-1, 0, 1)
        }
    # Its filters are centred a few pixels off, which is less than a place of the map.
    assert min(shifts, key=lambda shift: shifts[shift]) in {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_a_frozen_network_keeps_what_its_maps_depend_on() -> None:
    network = Small().requires_grad_(False)
    assert [name for name, _ in WrappedBackbone(network, ["second"]).module.named_parameters()] == [
        "first.weight",
        "first.bias",
        "second.weight",
        "second.bias",
    ]


def test_the_modes_of_the_modules_are_left_as_they_were() -> None:
    network = torchvision.models.resnet18()
    network.layer1.eval()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    backbone = WrappedBackbone(network, ["layer4"])
    assert backbone.module.layer2.training  # type: ignore[union-attr]
    assert not backbone.module.layer1.training  # type: ignore[union-attr]
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())


def test_a_copy_has_maps_of_its_own() -> None:
    backbone = WrappedBackbone(Small(), ["first", "second"]).eval()
    images = torch.randn(1, 3, 20, 20)
    with torch.no_grad():
        expected = backbone(images)
        twin = deepcopy(backbone)
        for parameter in backbone.parameters():
            parameter.zero_()
        assert all(torch.equal(a, b) for a, b in zip(twin(images), expected, strict=True))


class Spare(Small):
    """A parameter of its own that nothing depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Parameter(torch.zeros(2))


class Rigid(Small):
    """What follows the maps does not run without its layers."""

    def forward(self, images: Tensor) -> Tensor:
        x = self.second(self.first(images).relu())
        scores: Tensor = self.head[1](x.mean((2, 3)).repeat(1, 49)).view(-1, 5)
        return scores[:, :5] + torch.zeros(5)


class Detached(Small):
    """A map that depends on a layer without a gradient, which could be left out."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Conv2d(3, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        second: Tensor = self.second(self.first(self.shift(images).detach()))
        return second


class Pair(Small):
    """A module that gives two tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2, return_indices=True)

    def forward(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.pool(self.first(images))[0]
        return pooled


@pytest.mark.parametrize(
    ("network", "nodes", "message"),
    [
        (Small, ["frist"], r"Small has no module 'frist'\. Did you mean 'first'\?"),
        (Small, [], "nodes is empty"),
        (Small, ["second", "first"], r"strides \[4, 2\]; expected growing ones"),
        (Small, ["first", "head.0"], r"map 1 is of shape \[1, 7688\]"),
        (Detached, ["second", "head"], r"no feature maps \['head'\].*they do not run"),
        (Pair, ["pool"], "map 0 is a tuple"),
        (Spare, ["second"], r"no feature map depends on the parameters \['spare'\]"),
        (Rigid, ["second"], r"the modules \['head'\] come behind .* does not run without them"),
        (Detached, ["second"], r"no gradient reaches \['head', 'shift'\], though the feature maps"),
    ],
)
def test_what_cannot_be_wrapped_is_refused(network: type[nn.Module], nodes: list[str], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        WrappedBackbone(network(), nodes)


@pytest.mark.unchecked
def test_export_and_compile_keep_the_features() -> None:
    backbone = WrappedBackbone(Small(), ["first", "second"]).eval()
    sides = [torch.export.Dim(side, min=5, max=4096) for side in ("height", "width")]
    sizes = {0: torch.export.Dim("batch"), 2: sides[0], 3: sides[1]}
    program = torch.export.export(backbone, (torch.randn(2, 3, 96, 64),), dynamic_shapes=(sizes,)).module()
    compiled = torch.compile(backbone, backend="aot_eager", fullgraph=True)
    images = torch.randn(3, 3, 97, 131)
    with torch.no_grad():
        for ours, exported, traced in zip(backbone(images), program(images), compiled(images), strict=True):
            torch.testing.assert_close(exported, ours)
            torch.testing.assert_close(traced, ours)


def test_a_task_takes_it() -> None:
    task = ClassificationTask(num_classes=2, backbone=mobilenet())
    assert task.eval()(torch.zeros(2, 3, 40, 33)).shape == (2, 2)
