"""Every decoder on every backbone, at any size."""

from typing import Any

import pytest
import torch

from visiontasks.backbones import create_backbone, list_backbones
from visiontasks.decoders import create_decoder, list_decoders
from visiontasks.errors import ArgumentError
from visiontasks.testing.comparison import check_gradients

QUICK = {"cnn", "resnet18"}
BACKBONES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in list_backbones()]


@pytest.mark.parametrize("decoder", list_decoders())
@pytest.mark.parametrize("backbone", BACKBONES)
def test_logits_have_the_size_of_the_image(backbone: str, decoder: str) -> None:
    network = create_backbone(backbone, in_channels=2).eval()
    head = create_decoder(decoder, network.channels, network.strides, 5).eval()
    for size in [(64, 96), (37, 53), (1, 1)]:
        with torch.no_grad():
            logits = head(network(torch.randn(1, 2, *size)), size)
        assert logits.shape == (1, 5, *size)
        assert logits.isfinite().all()


@pytest.mark.parametrize("decoder", list_decoders())
@pytest.mark.parametrize("strides", [(1,), (4,), (1, 1, 2), (2, 8, 32), (1, 4, 16), (1, 2, 4, 8, 16, 32)])
def test_any_strides_will_do(decoder: str, strides: tuple[int, ...]) -> None:
    channels = tuple(4 + 2 * index for index in range(len(strides)))
    size = (45, 70)
    features = [
        torch.randn(2, width, -(-45 // stride), -(-70 // stride))
        for width, stride in zip(channels, strides, strict=True)
    ]
    head = create_decoder(decoder, channels, strides, 3)
    logits = head(features, size)
    assert logits.shape == (2, 3, *size)


@pytest.mark.parametrize("decoder", list_decoders())
def test_no_class_starts_out_ahead_of_the_others(decoder: str) -> None:
    features = [torch.randn(2, 16, 24, 32).relu(), torch.randn(2, 32, 12, 16).relu(), torch.randn(2, 64, 6, 8).relu()]
    probabilities = create_decoder(decoder, (16, 32, 64), (4, 8, 16), 4)(features, (96, 128)).softmax(1)
    assert (probabilities.mean((0, 2, 3)) - 0.25).abs().max() < 0.1


@pytest.mark.parametrize("decoder", list_decoders())
def test_every_parameter_learns(decoder: str) -> None:
    features = [torch.randn(2, 8, 24, 32), torch.randn(2, 8, 12, 16), torch.randn(2, 12, 6, 8)]
    head = create_decoder(decoder, (8, 8, 12), (1, 2, 4), 3, **({"stride": 1} if decoder in ("fcn", "fpn") else {}))
    check_gradients(head, [head(features, (24, 32)).square().mean()])


@pytest.mark.parametrize("decoder", list_decoders())
def test_an_image_does_not_depend_on_the_others_in_its_batch(decoder: str) -> None:
    features = [torch.randn(3, 8, 13, 9), torch.randn(3, 8, 7, 5)]
    head = create_decoder(decoder, (8, 8), (2, 4), 3).eval()
    together = head(features, (25, 17))
    alone = head([feature[1:2] for feature in features], (25, 17))
    torch.testing.assert_close(alone, together[1:2])


@pytest.mark.parametrize("decoder", list_decoders())
def test_an_empty_batch_gives_no_logits(decoder: str) -> None:
    features = [torch.randn(0, 8, 13, 9), torch.randn(0, 8, 7, 5)]
    head = create_decoder(decoder, (8, 8), (2, 4), 3).eval()
    assert head(features, (25, 17)).shape == (0, 3, 25, 17)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("unett", {}, "There is no decoder 'unett'. Did you mean 'unet'"),
        ("unet", {"depht": 3}, "decoder 'unet' was given {'depht': 3}"),
        ("unet", {"widths": [8, 8, 8, 8]}, "at most 2 numbers of channels, one per step from stride 4 to 1"),
        ("fcn", {"stride": 0}, "stride is 0"),
        ("segnet", {"depth": 0}, "depth is 0"),
        ("fpn", {"width": 0}, "width is 0"),
    ],
)
def test_wrong_arguments_are_an_error(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        create_decoder(name, (8, 8), (2, 4), 3, **options)
