import itertools
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from visiontasks.backbones.layers import Activation, ConvBlock, Norm, make_activation, make_norm
from visiontasks.errors import ArgumentError


@pytest.mark.parametrize(("kernel_size", "stride"), [(1, 1), (3, 1), (3, 2), (5, 4)])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (9, 14)])
def test_the_default_block_is_a_convolution_with_norm_and_relu(
    kernel_size: int, stride: int, size: tuple[int, int]
) -> None:
    block = ConvBlock(3, 4, kernel_size, stride).eval()
    images = torch.randn(2, 3, *size)
    plain = nn.Conv2d(3, 4, kernel_size, stride, kernel_size // 2, bias=False)
    plain.load_state_dict(block.conv.state_dict())
    norm = nn.BatchNorm2d(4).eval()
    output = block(images)
    torch.testing.assert_close(output, F.relu(norm(plain(images))))
    assert output.shape[2:] == (-(-size[0] // stride), -(-size[1] // stride))


def convolve_in_loops(
    image: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32], stride: int, padding: int
) -> NDArray[np.float32]:
    """Place every filter over pixel (i * stride, j * stride); without a value where it reaches past the padding."""
    filters, _, kernel, _ = weight.shape
    reach = kernel // 2
    height, width = image.shape[1:]
    output = np.zeros((filters, -(-height // stride), -(-width // stride)), dtype=np.float32)
    for i, j in itertools.product(range(output.shape[1]), range(output.shape[2])):
        y, x = i * stride, j * stride
        if min(y, x) < reach - padding or y + reach >= height + padding or x + reach >= width + padding:
            continue
        total = bias.copy()
        for dy, dx in itertools.product(range(-reach, reach + 1), repeat=2):
            if 0 <= y + dy < height and 0 <= x + dx < width:
                total += weight[:, :, dy + reach, dx + reach] @ image[:, y + dy, x + dx]
        output[:, i, j] = np.maximum(total, 0)
    return output


@pytest.mark.parametrize(("kernel_size", "padding"), [(3, 0), (3, 1), (5, 0), (5, 1), (7, 1), (7, 3)])
@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", [(1, 2), (4, 3), (8, 11)])
def test_fewer_zeros_leave_places_without_a_value(
    kernel_size: int, padding: int, stride: int, size: tuple[int, int]
) -> None:
    block = ConvBlock(2, 3, kernel_size, stride, padding, norm="none")
    images = torch.randn(2, 2, *size)
    weight, bias = block.conv.weight.detach().numpy(), block.conv.bias
    assert bias is not None
    expected = [convolve_in_loops(image, weight, bias.detach().numpy(), stride, padding) for image in images.numpy()]
    torch.testing.assert_close(block(images).detach(), torch.from_numpy(np.stack(expected)), rtol=1e-4, atol=1e-5)


def test_places_without_a_value_do_not_enter_the_statistics_of_the_norm() -> None:
    block = ConvBlock(1, 2, kernel_size=3, padding=0)
    images = torch.randn(4, 1, 8, 8)
    valid = F.conv2d(images, block.conv.weight)
    expected = F.pad(F.relu(F.batch_norm(valid, None, None, training=True)), (1, 1, 1, 1))
    torch.testing.assert_close(block(images), expected)


@pytest.mark.parametrize(
    ("norm", "channels", "kind"),
    [
        ("batch", 8, nn.BatchNorm2d),
        ("group", 32, nn.GroupNorm),
        ("instance", 8, nn.InstanceNorm2d),
        ("none", 8, nn.Identity),
    ],
)
def test_norms_are_made_by_name(norm: Norm, channels: int, kind: type[nn.Module]) -> None:
    assert isinstance(make_norm(norm, channels), kind)


@pytest.mark.parametrize(("channels", "groups"), [(4, 1), (16, 1), (32, 2), (64, 4), (40, 2), (50, 1)])
def test_group_norm_takes_any_number_of_channels(channels: int, groups: int) -> None:
    norm = make_norm("group", channels)
    assert isinstance(norm, nn.GroupNorm)
    assert norm.num_groups == groups
    assert norm(torch.randn(2, channels, 3, 3)).shape == (2, channels, 3, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 4}, "kernel_size is 4; expected an odd number"),
        ({"kernel_size": -1}, "kernel_size is -1; expected an odd number"),
        ({"kernel_size": 5, "padding": 3}, "padding is 3; expected 0 to 2 for kernel_size 5"),
        ({"padding": -1}, "padding is -1; expected 0 to 1"),
    ],
)
def test_a_block_that_cannot_work_is_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        ConvBlock(3, 8, **arguments)  # type: ignore[arg-type]  # wrong values are the point


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("relu", lambda x: x.clamp(min=0)),
        ("silu", lambda x: x / (1 + (-x).exp())),
        ("gelu", lambda x: x * (1 + torch.special.erf(x / 2**0.5)) / 2),
    ],
)
def test_activations_are_made_by_name(activation: Activation, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    x = torch.linspace(-5, 5, 101)
    torch.testing.assert_close(make_activation(activation)(x), function(x))
    images = torch.randn(2, 3, 6, 6)
    block = ConvBlock(3, 4, norm="none", activation=activation)
    torch.testing.assert_close(block(images), function(block.conv(images)))


@pytest.mark.unchecked
def test_an_unknown_activation_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="Did you mean 'gelu'"):
        make_activation("gelo")  # type: ignore[arg-type]  # wrong on purpose
