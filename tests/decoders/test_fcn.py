import pytest
import torch
import torch.nn.functional as F
from torch import nn

from visiontasks.decoders.fcn import FCN

CHANNELS, STRIDES = (4, 8, 8, 16, 16, 32), (1, 2, 4, 8, 16, 32)


@pytest.mark.parametrize(("stride", "maps"), [(32, 1), (16, 2), (8, 3), (1, 6)])
def test_the_stride_chooses_the_maps(stride: int, maps: int) -> None:
    decoder = FCN(CHANNELS, STRIDES, 5, stride=stride)
    assert len(decoder.scores) == maps
    steps = [layer.stride[0] for layer in decoder.enlarge if isinstance(layer, nn.ConvTranspose2d)]
    assert steps == [2] * (maps - 1) + [stride] * (stride > 1)


def test_it_starts_as_the_interpolated_scores_of_the_coarsest_map() -> None:
    decoder = FCN(CHANNELS, STRIDES, 5, stride=8)
    features = [
        torch.randn(1, width, 128 // stride, 192 // stride) for width, stride in zip(CHANNELS, STRIDES, strict=True)
    ]
    scores = decoder.scores[0](features[-1])
    inside = slice(40, -40)
    # Three bilinear steps of 2, 2 and 8 are not one of 32, but all are linear along a ramp.
    expected = scores
    for factor in (2, 2, 8):
        expected = F.interpolate(expected, scale_factor=factor, mode="bilinear")
    torch.testing.assert_close(decoder(features, (128, 192))[..., inside, inside], expected[..., inside, inside])
