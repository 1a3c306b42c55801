from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.backbones.states import equal, torchvision_state
from visiontasks import create_backbone
from visiontasks.backbones.input_channels import adapt_input_channels
from visiontasks.backbones.published import PUBLISHED
from visiontasks.backbones.weights import load_weights, read_weights


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


@pytest.mark.parametrize(
    ("name", "in_channels"),
    [("resnet18", channels) for channels in (1, 2, 3, 4, 13)]
    + [
        pytest.param(name, channels, marks=() if channels == 4 else pytest.mark.slow)
        for name in ("alexnet", "googlenet-torchvision", "inception_v3")
        for channels in (1, 2, 3, 4, 13)
    ],
)
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
