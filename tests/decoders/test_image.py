from typing import get_args

import pytest
import torch
from torch import nn

from visiontasks.decoders.image import ImageDecoder, ImageUpsampling, Unpool
from visiontasks.errors import ArgumentError

WAYS: tuple[ImageUpsampling, ...] = get_args(ImageUpsampling)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [(33, 20), (1, 1), (64, 48), (45, 61)])
@pytest.mark.parametrize("strides", [(1,), (4,), (2, 4), (1, 2, 4), (2, 8, 16), (4, 4, 8)])
def test_the_image_has_exactly_its_size(way: ImageUpsampling, size: tuple[int, int], strides: tuple[int, ...]) -> None:
    channels = (8, 12, 16)[-len(strides) :]
    decoder = ImageDecoder(channels, strides, 5, upsampling=way)
    coarsest = torch.rand(2, channels[-1], -(-size[0] // strides[-1]), -(-size[1] // strides[-1]))
    image = decoder(coarsest, size)
    assert image.shape == (2, 5, *size)
    image.sum().backward()
    assert all(parameter.grad is not None for parameter in decoder.parameters())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_step_has_as_many_convolutions_as_asked_for(way: ImageUpsampling, depth: int) -> None:
    decoder = ImageDecoder((8, 12, 16), (1, 2, 4), 3, upsampling=way, depth=depth)
    for step in decoder.steps:
        sides = [
            layer.kernel_size[0]
            for layer in step.modules()
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.kernel_size != (1, 1)
        ]
        assert sides == ([4] + [3] * (depth - 1) if way == "transpose" else [3] * depth)


def last_filters(step: nn.Module) -> int:
    """Count the filters of the last convolution of a step."""
    return [layer.out_channels for layer in step.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)][-1]


def test_channels_mirror_those_of_the_backbone() -> None:
    mirrored = ImageDecoder((64, 128, 256, 2048), (4, 8, 16, 32), 3, upsampling="resize")
    assert [last_filters(step) for step in mirrored.steps] == [256, 128, 64, 32]
    given = ImageDecoder((64, 128), (2, 4), 3, widths=[7, 5])
    assert [last_filters(step) for step in given.steps] == [7, 5]


@pytest.mark.parametrize("way", WAYS)
def test_a_pixel_stays_over_its_place(way: ImageUpsampling) -> None:
    """What is bright in one place of the map is brightest there in the image."""
    decoder = ImageDecoder((4, 4), (1, 4), 1, upsampling=way, norm="none")
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.fill_(0.0 if parameter.ndim == 1 else 1.0)
    coarsest = torch.zeros(1, 4, 5, 6)
    coarsest[:, :, 2, 3] = 1
    image = decoder(coarsest, (18, 22))[0, 0]
    rows, columns = (torch.nonzero(image.sum(axis) > 0).flatten().float().mean() for axis in (1, 0))
    assert abs(rows - 9.5) <= 1
    assert abs(columns - 13.5) <= 1


def test_unpooling_keeps_what_is_in_a_window() -> None:
    layer = Unpool(3, 4)
    x = torch.randn(2, 3, 5, 7)
    assert torch.allclose(16 * nn.functional.avg_pool2d(layer(x), 4), x, atol=1e-5)


def test_unpooling_puts_a_value_where_its_layer_says() -> None:
    layer = Unpool(2, 2)
    assert layer.places.bias is not None
    with torch.no_grad():
        layer.places.weight.zero_()
        layer.places.bias.copy_(torch.tensor([100.0, 0, 0, 0, 0, 0, 0, 100]))
    unpooled = layer(torch.tensor([5.0, 7.0]).view(1, 2, 1, 1))
    torch.testing.assert_close(unpooled[0], torch.tensor([[[5.0, 0], [0, 0]], [[0, 0], [0, 7]]]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"widths": [8]},
            r"widths is \[8\].*expected 2 numbers .* from stride 4 to strides 2, 1",
        ),
        ({"depth": 0}, "depth 0"),
    ],
)
def test_wrong_arguments_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ImageDecoder((8, 8), (2, 4), 3, **options)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("way", WAYS)
def test_the_activation_is_that_of_every_convolution_but_the_last(way: ImageUpsampling) -> None:
    decoder = ImageDecoder((8, 12), (1, 2), 3, upsampling=way, depth=2, activation="silu")
    kinds = [type(layer) for layer in decoder.modules()]
    assert kinds.count(nn.SiLU) == 2
    assert nn.ReLU not in kinds
