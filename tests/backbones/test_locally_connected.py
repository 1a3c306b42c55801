from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from visiontasks.backbones.locally_connected import LocallyConnected2d
from visiontasks.errors import ArgumentError

CONFIGURATIONS: list[dict[str, Any]] = [
    {"input_size": 5, "kernel_size": 3, "padding": 1},
    {"input_size": (6, 9), "kernel_size": 3},
    {"input_size": (7, 8), "kernel_size": 3, "stride": 2, "padding": 1, "bias": False},
    {"input_size": (8, 5), "kernel_size": 2, "stride": 3},
    {"input_size": 4, "kernel_size": 1},
]


def explicit_loop(layer: LocallyConnected2d, x: Tensor) -> Tensor:
    height, width = layer.output_size
    filters = layer.weight.view(height, width, layer.out_channels, layer.kernel_size, layer.kernel_size, -1)
    x = F.pad(x, [layer.padding] * 4)
    y = x.new_zeros(len(x), layer.out_channels, height, width)
    for i in range(height):
        for j in range(width):
            top, left = i * layer.stride, j * layer.stride
            patch = x[:, :, top : top + layer.kernel_size, left : left + layer.kernel_size]
            y[:, :, i, j] = torch.einsum("bcij,oijc->bo", patch, filters[i, j])
            if layer.bias is not None:
                y[:, :, i, j] += layer.bias.view(height, width, -1)[i, j]
    return y


@pytest.mark.parametrize("options", CONFIGURATIONS)
def test_output_and_gradients_equal_those_of_an_explicit_loop(options: dict[str, Any]) -> None:
    layer = LocallyConnected2d(3, 4, **options).double()
    x = torch.randn(2, 3, *layer.input_size, dtype=torch.float64, requires_grad=True)
    results = []
    for y in (layer(x), explicit_loop(layer, x)):
        weights = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view_as(y)
        results.append([y, *torch.autograd.grad((y * weights).sum(), [x, *layer.parameters()])])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_equal_filters_everywhere_make_a_convolution() -> None:
    layer = LocallyConnected2d(3, 4, (9, 7), 3, stride=2, padding=1)
    assert layer.bias is not None
    weight, bias = torch.randn(4, 3, 3, 3), torch.randn(4)
    with torch.no_grad():
        layer.weight.copy_(weight.permute(0, 2, 3, 1).reshape(1, 4, -1).expand_as(layer.weight))
        layer.bias.copy_(bias.repeat(len(layer.weight)))
    x = torch.randn(2, 3, 9, 7)
    torch.testing.assert_close(layer(x), F.conv2d(x, weight, bias, stride=2, padding=1), rtol=1e-5, atol=1e-5)


def test_the_number_of_parameters_is_the_stated_one() -> None:
    layer = LocallyConnected2d(16, 8, (10, 12), 3, padding=1)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 10 * 12 * 8 * (16 * 3**2 + 1)


def test_memory_format_and_empty_batches_do_not_matter() -> None:
    layer = LocallyConnected2d(3, 4, 8, 3)
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(layer(x.to(memory_format=torch.channels_last)), layer(x), rtol=0, atol=0)
    assert layer(x[:0]).shape == (0, 4, 6, 6)


@pytest.mark.unchecked
def test_export_and_compile_give_the_same() -> None:
    layer = LocallyConnected2d(3, 4, 8, 3, padding=1)
    x = torch.randn(2, 3, 8, 8)
    program = torch.export.export(layer, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(program.module()(x), layer(x))
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    (expected,) = torch.autograd.grad(layer(x).square().sum(), layer.weight)
    (found,) = torch.autograd.grad(compiled(x).square().sum(), layer.weight)
    torch.testing.assert_close(found, expected)


def test_another_image_size_is_refused_with_the_one_it_was_made_for() -> None:
    layer = LocallyConnected2d(3, 4, (8, 6), 3)
    with pytest.raises(ArgumentError, match=r"\(2, 3, 6, 8\); expected \[B, 3, 8, 6\]"):
        layer(torch.zeros(2, 3, 6, 8))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"kernel_size": 0}, "kernel_size=0"),
        ({"kernel_size": 3, "stride": 0}, "stride=0"),
        ({"kernel_size": 3, "padding": -1}, "padding=-1"),
        ({"kernel_size": 9, "padding": 0}, "kernel_size is 9 for an input of 8 x 8"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        LocallyConnected2d(3, 4, 8, **options)
