import pytest
import torch
from torch import nn

from visiontasks import create_backbone
from visiontasks.errors import ArgumentError
from visiontasks.visualization import (
    draw_activations,
    draw_filters,
    first_convolution,
)


def test_filters_of_three_channels_are_drawn_in_colour_each_scaled_by_itself() -> None:
    weight = torch.zeros(3, 3, 5, 5)
    weight[0, 0], weight[1, 1], weight[2] = 0.1, -7, torch.tensor(2.0)
    picture = draw_filters(weight, columns=2)
    side = 5 * 8
    assert picture.shape == (3, 2 * side + 3, 2 * side + 3)
    grey = 128
    assert picture[:, 0, 0].tolist() == [255, grey, grey]
    assert picture[:, 0, side + 3].tolist() == [grey, 0, grey]
    assert picture[:, side + 3, 0].tolist() == [255, 255, 255]


def test_filters_of_other_channels_are_mosaics_in_grey() -> None:
    weight = torch.zeros(1, 5, 2, 2)
    weight[0, 4] = 1
    picture = draw_filters(weight)
    # Three by two channels of 2 x 2 pixels with a pixel between them, magnified eight times.
    assert picture.shape == (3, 8 * 5, 8 * 8)
    assert (picture[0] == picture[1]).all()
    assert picture[0, 8 * 3, 8 * 3] == 255
    assert picture[0, 0, 0] == 128
    assert draw_filters(torch.randn(4, 1, 7, 7)).shape == (3, 42, 4 * 42 + 9)


def test_the_strongest_channels_come_first() -> None:
    feature = torch.zeros(5, 8, 8)
    feature[3, 2, 2], feature[1] = 100, torch.arange(64.0).view(8, 8) / 100
    picture = draw_activations([feature], count=2)
    assert picture.shape == (3, 67, 2 * 64 + 3)
    first, second = picture[0, :64, :64], picture[0, :64, 67:]
    assert first[2 * 8, 2 * 8] == 255
    assert (first == 255).sum() == 64
    assert second[0, 0] == 0
    assert second[-1, -1] == 255
    assert (second.diff(dim=1) >= 0).all()


def test_the_image_and_maps_of_any_size_fit_one_picture() -> None:
    features = [torch.randn(3, 224, 200), torch.randn(20, 7, 7), torch.randn(9, 1, 1)]
    picture = draw_activations(features, torch.rand(1, 28, 28))
    assert picture.dtype == torch.uint8
    assert picture.shape[0] == 3


def test_the_first_convolution_is_found_or_said_to_be_missing() -> None:
    backbone = create_backbone("resnet18", in_channels=2)
    assert first_convolution(backbone).weight.shape == (64, 2, 7, 7)
    with pytest.raises(ArgumentError, match="Linear has no convolution"):
        first_convolution(nn.Linear(2, 2))
