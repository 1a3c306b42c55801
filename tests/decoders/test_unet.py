import pytest
import torch
import torch.nn.functional as F

from visiontasks.decoders.unet import UNet, UpBlock

CHANNELS, STRIDES = (64, 64, 128, 256, 512), (2, 4, 8, 16, 32)


@pytest.mark.parametrize(("widths", "stride"), [(None, 1), ([256, 128, 64, 32], 2), ([32], 16), ([], 32)])
def test_fewer_widths_stop_at_a_coarser_stride(widths: list[int] | None, stride: int) -> None:
    decoder = UNet(CHANNELS, STRIDES, 3, widths=widths)
    assert decoder.stride == stride
    features = [torch.randn(2, width, 64 // step, 96 // step) for width, step in zip(CHANNELS, STRIDES, strict=True)]
    assert decoder(features, (64, 96)).shape == (2, 3, 64, 96)


def test_by_default_widths_are_those_of_the_usual_u_net_on_a_residual_network() -> None:
    assert [block.conv2.conv.out_channels for block in UNet(CHANNELS, STRIDES, 3).blocks] == [256, 128, 64, 32, 16]  # type: ignore[union-attr]


def test_reducing_before_enlarging_is_the_same_as_after_it() -> None:
    block = UpBlock(8, 0, 4, 2, "bilinear", "batch")
    x = torch.randn(1, 8, 5, 7)
    torch.testing.assert_close(
        block.upsample(block.reduce(x)), block.reduce(F.interpolate(x, scale_factor=2, mode="bilinear"))
    )


def test_the_finer_map_is_seen() -> None:
    block = UpBlock(8, 4, 4, 2, "nearest", "none")
    x, skip = torch.randn(1, 8, 5, 7), torch.randn(1, 4, 9, 13, requires_grad=True)
    block(x, skip, (9, 13)).sum().backward()
    assert skip.grad is not None
    assert skip.grad.abs().sum() > 0


def test_weights_start_with_the_deviation_that_keeps_the_variance() -> None:
    torch.manual_seed(0)
    block = UNet((64, 256), (2, 4), 3).blocks[0]
    assert isinstance(block, UpBlock)
    for layer in (block.reduce, block.conv1.conv, block.conv2.conv):
        inputs = layer.weight[0].numel()
        assert layer.weight.std().item() == pytest.approx((2 / inputs) ** 0.5, rel=0.05)
