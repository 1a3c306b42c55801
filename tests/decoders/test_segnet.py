"""Unpooling against torch's, on the backbones whose own pooling it undoes."""

from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from visiontasks.backbones import create_backbone
from visiontasks.backbones.pooling import MaxPool
from visiontasks.backbones.vgg import VGG
from visiontasks.decoders.segnet import SegNet, unpool


@pytest.mark.parametrize("size", [(32, 64), (37, 53)])
@pytest.mark.parametrize("backbone", ["cnn", "vgg11"])
def test_it_puts_values_where_the_encoder_pooled_them_from(backbone: str, size: tuple[int, int]) -> None:
    network = create_backbone(backbone).eval()
    with torch.no_grad():
        features = network(torch.randn(1, 3, *size))
    for finer, coarser in pairwise(features):
        pooled, indices = F.max_pool2d(finer, 2, ceil_mode=True, return_indices=True)
        values = torch.randn_like(pooled)
        expected = nn.MaxUnpool2d(2)(values, indices, output_size=finer.shape)
        assert torch.equal(unpool(values, finer, 2), expected)
        if finer is features[-2]:
            assert torch.equal(pooled, coarser)


def test_the_positions_are_those_of_the_poolings_that_the_encoder_did() -> None:
    network = VGG((1, 1, 1, 1, 1)).eval()
    recorded = []

    def record(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        recorded.append(F.max_pool2d(inputs[0], 2, ceil_mode=True, return_indices=True)[1])
        assert torch.equal(output, F.max_pool2d(inputs[0], 2, ceil_mode=True))

    for layer in network.features:
        if isinstance(layer, MaxPool):
            layer.register_forward_hook(record)
    with torch.no_grad():
        features = network(torch.randn(1, 3, 45, 61))
    assert len(recorded) == 5
    for finer, indices in zip(features[:-1], recorded, strict=True):
        values = torch.randn(indices.shape)
        expected = nn.MaxUnpool2d(2)(values, indices, output_size=finer.shape)
        assert torch.equal(unpool(values, finer, 2), expected)


def test_with_vgg_no_layer_is_added_to_segnet() -> None:
    network = create_backbone("vgg16-bn")
    decoder = SegNet(network.channels, network.strides, 11)
    assert decoder.adapt is None
    modules: list[Any] = [list(stage.children()) for stage in decoder.stages]
    widths = [[block.conv.out_channels for block in stage] for stage in modules]
    assert widths == [[512, 512], [512, 256], [256, 128], [128, 64], [64, 64]]


def test_the_gradient_of_unpooling_is_pooling_at_the_same_places() -> None:
    finer, values = torch.randn(2, 3, 7, 9), torch.randn(2, 3, 4, 5, requires_grad=True)
    weights = torch.randn(2, 3, 7, 9)
    (unpool(values, finer, 2) * weights).sum().backward()
    _, indices = F.max_pool2d(finer, 2, ceil_mode=True, return_indices=True)
    assert values.grad is not None
    assert torch.equal(values.grad, weights.flatten(2).gather(2, indices.flatten(2)).view_as(values))
