import pytest
import torch
from torch import nn

from visiontasks.backbones.resnet import BasicBlock, Bottleneck, ResNet, resnet18, resnet50


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_a_zero_initialised_block_starts_as_the_identity(block: type[BasicBlock] | type[Bottleneck]) -> None:
    backbone = ResNet(block, (2, 1, 1, 1), small_images=True, zero_init_residual=True)
    x = torch.rand(2, 64 * block.expansion, 8, 8)
    torch.testing.assert_close(backbone.layer1[1](x), x, rtol=0, atol=0)


def test_the_last_norms_start_at_one_by_default() -> None:
    assert all(bool((m.weight == 1).all()) for m in resnet18().modules() if isinstance(m, nn.BatchNorm2d))


def test_the_small_stem_keeps_the_resolution() -> None:
    backbone = resnet18(1, small_images=True)
    assert backbone.strides == (1, 2, 4, 8)
    assert tuple(backbone.conv1.weight.shape) == (64, 1, 3, 3)
    assert [feature.shape[2] for feature in backbone(torch.zeros(2, 1, 28, 28))] == [28, 14, 7, 4]


def test_the_stride_of_a_bottleneck_is_in_its_3x3_convolution() -> None:
    strided = [name for name, m in resnet50().named_modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2)]
    layers = ("layer2", "layer3", "layer4")
    inner = [f"{layer}.0.{part}" for layer in layers for part in ("conv2", "downsample.0")]
    assert sorted(strided) == sorted(["conv1", *inner])


def test_a_feature_map_is_not_changed_after_it_was_given() -> None:
    backbone = resnet18(small_images=True).eval()
    images = torch.randn(1, 3, 32, 32)
    kept: list[torch.Tensor] = []
    for layer in (backbone.layer1, backbone.layer2, backbone.layer3):
        layer.register_forward_hook(lambda _module, _inputs, output: kept.append(output.clone()))
    with torch.no_grad():
        features = backbone(images)
    for feature, copy in zip(features, kept, strict=False):
        torch.testing.assert_close(feature, copy, rtol=0, atol=0)
