"""Upsampling of feature maps."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.errors import check_choice

Upsampling = Literal["bilinear", "nearest", "transpose"]


def crop(x: Float[Tensor, "batch channels _ _"], size: tuple[int, int]) -> Float[Tensor, "batch channels _ _"]:
    """Crop a map on the right and at the bottom.

    Args:
        x: A map of at least the given size.
        size: Height and width in pixels.
    """
    return x[..., : size[0], : size[1]]


def enlarge(
    x: Float[Tensor, "batch channels _ _"], factor: int, size: tuple[int, int]
) -> Float[Tensor, "batch channels _ _"]:
    """Upsample bilinearly by an integer factor, then crop.

    Args:
        x: The map.
        factor: Upsampling factor.
        size: Height and width to crop to.
    """
    return crop(x if factor == 1 else F.interpolate(x, scale_factor=float(factor), mode="bilinear"), size)


class BilinearTranspose(nn.ConvTranspose2d):
    """A trainable transpose convolution that is initialised to bilinear interpolation of each channel.

    Long et al., Fully convolutional networks for semantic segmentation (CVPR 2015), section 3.3. The filters are twice
    as large as the stride, so that neighbouring ones overlap; filters between different channels are initialised to
    zero. At the border of the map there is nothing to interpolate with, and values fall off; interpolation would repeat
    the last value.

    Args:
        channels: Channels of the input and of the output.
        factor: Upsampling factor, even.

    Example:
        >>> layer = BilinearTranspose(3, 2)
        >>> constant = layer(torch.ones(1, 3, 4, 4))
        >>> constant.shape, constant[0, 0, 1:-1, 1:-1].unique().tolist()
        (torch.Size([1, 3, 8, 8]), [1.0])
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__(channels, channels, 2 * factor, factor, factor // 2, bias=False)
        with torch.no_grad():
            self.weight.zero_()
            index = torch.arange(channels)
            self.weight[index, index] = bilinear_filter(factor)


def bilinear_filter(factor: int) -> Float[Tensor, "side side"]:
    """Create the filter of a transpose convolution that interpolates bilinearly.

    Args:
        factor: Stride of the convolution, even; the filter has twice this side.

    Example:
        >>> bilinear_filter(2)[0].tolist()
        [0.0625, 0.1875, 0.1875, 0.0625]
    """
    distance = (torch.arange(2 * factor) - factor + 0.5).abs()
    line = 1 - distance / factor
    return line[:, None] * line


class Upsample(nn.Module):
    """Upsamples a map by an integer factor.

    Args:
        channels: Channels of the map.
        factor: Upsampling factor, 1 or even.
        upsampling: ``"bilinear"`` or ``"nearest"`` interpolation, or ``"transpose"``: see :class:`BilinearTranspose`.

    Raises:
        ArgumentError: If the upsampling is unknown.
    """

    def __init__(self, channels: int, factor: int, upsampling: Upsampling = "bilinear") -> None:
        super().__init__()
        check_choice("upsampling", upsampling, get_args(Upsampling))
        self.factor = factor
        self.upsampling = upsampling
        self.transpose = BilinearTranspose(channels, factor) if upsampling == "transpose" and factor > 1 else None

    def forward(self, x: Float[Tensor, "batch channels _ _"]) -> Float[Tensor, "batch channels _ _"]:
        """Upsample, shape [B, C, H, W] to [B, C, factor * H, factor * W]."""
        if self.factor == 1:
            return x
        if self.transpose is not None:
            enlarged: Tensor = self.transpose(x)
            return enlarged
        return F.interpolate(x, scale_factor=float(self.factor), mode=self.upsampling)
