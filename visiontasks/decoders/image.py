"""Decoders of images: a map at the coarsest stride goes in, an image comes out."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.layers import Activation, ConvBlock, Norm, make_activation, make_norm
from visiontasks.decoders.upsampling import crop
from visiontasks.errors import ArgumentError, check_choice

ImageUpsampling = Literal["transpose", "unpooling", "resize"]

_WIDEST, _NARROWEST = 256, 16


class ImageDecoder(nn.Module):
    """Decodes the coarsest feature map of any backbone to pixels, through the strides of the backbone in reverse.

    That map is its only input. At each step the map is upsampled by the quotient of the strides and cropped to height
    ``ceil(H / strides[i])``, as in the backbone. So pixel (y, x) of a map stays aligned with pixel (y * stride, x *
    stride) of the image, and the output has exactly the size of the image, for odd sizes too.

    Args:
        channels: Channels of each feature map of the backbone, fine to coarse.
        strides: Their strides, fine to coarse.
        num_outputs: Channels of the image.
        upsampling: ``"transpose"``: a transpose convolution of twice the stride (Radford et al., DCGAN, ICLR 2016).
            ``"unpooling"``: see :class:`Unpool`. ``"resize"``: nearest-neighbour upsampling, then a convolution, which
            avoids checkerboard artifacts (Odena et al., Deconvolution and checkerboard artifacts, Distill 2016).
        widths: Channels of each step, coarse to fine: one per finer map of the backbone, and one more to the pixels if
            the finest map has a stride above 1. By default those of the backbone's maps, at most 256, and half of the
            finest at the pixels.
        depth: Number of convolutions of each step, including a transpose convolution.
        norm: Normalisation after each convolution: ``"batch"``, ``"group"``, ``"instance"`` or ``"none"``.
        activation: Activation after each normalisation: ``"relu"``, ``"silu"`` or ``"gelu"``.

    Raises:
        ArgumentError: If the upsampling is unknown, or a number is out of range.

    Example:
        >>> import torch
        >>> decoder = ImageDecoder(channels=(16, 32), strides=(2, 4), num_outputs=3)
        >>> decoder(torch.zeros(1, 32, 9, 5), (33, 20)).shape
        torch.Size([1, 3, 33, 20])
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        num_outputs: int,
        *,
        upsampling: ImageUpsampling = "transpose",
        widths: Sequence[int] | None = None,
        depth: int = 1,
        norm: Norm = "batch",
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        check_choice("upsampling", upsampling, get_args(ImageUpsampling))
        # Strides of the steps' outputs, coarse to fine.
        self.reached = (*strides[-2::-1], *((1,) if strides[0] > 1 else ()))
        if widths is None:
            mirrored = [min(_WIDEST, width) for width in channels[-2::-1]]
            last = max(_NARROWEST, min(_WIDEST, channels[0]) // 2)
            widths = mirrored + ([last] if strides[0] > 1 else [])
        if len(widths) != len(self.reached) or min([depth, num_outputs, *widths]) < 1:
            message = (
                f"widths is {list(widths)}, depth {depth} and num_outputs {num_outputs}; expected "
                f"{len(self.reached)} numbers of channels, one per step from stride {strides[-1]} to strides "
                f"{', '.join(map(str, self.reached))}, and at least 1 each."
            )
            raise ArgumentError(message)
        self.steps = nn.ModuleList()
        width = channels[-1]
        for (coarse, fine), out in zip(pairwise((strides[-1], *self.reached)), widths, strict=True):
            self.steps.append(_Step(width, out, coarse // fine, upsampling, depth, norm, activation))
            width = out
        self.pixels = nn.Conv2d(width, num_outputs, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "batch channels _ _"], size: tuple[int, int]
    ) -> Float[Tensor, "batch outputs height width"]:
        """Compute the image, as logits of its pixels.

        Args:
            x: The map, shape [B, channels[-1], ceil(height / stride), ceil(width / stride)].
            size: Height and width of the image in pixels.
        """
        for step, stride in zip(self.steps, self.reached, strict=True):
            x = step(x, ceil_divide(size, stride))
        pixels: Tensor = self.pixels(x)
        return pixels


class Unpool(nn.Module):
    """Unpools every value to the position in its window that a 1x1 convolution predicts.

    The unpooling of SegNet and of Zeiler et al. (Adaptive deconvolutional networks, ICCV 2011) takes the positions from
    the encoder, which would let information about the image bypass the code. Here they are predicted from the map
    itself: a softmax over the positions of its window distributes each value.

    Args:
        channels: Channels of the map.
        factor: Side of the windows in pixels.

    Example:
        >>> import torch
        >>> unpooled = Unpool(3, 2)(torch.ones(1, 3, 4, 4))
        >>> unpooled.shape, torch.nn.functional.avg_pool2d(4 * unpooled, 2).mean().round(decimals=3).item()
        (torch.Size([1, 3, 8, 8]), 1.0)
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.places = nn.Conv2d(channels, channels * factor**2, 1)

    def forward(self, x: Float[Tensor, "batch channels _ _"]) -> Float[Tensor, "batch channels _ _"]:
        """Upsample, shape [B, C, H, W] to [B, C, factor * H, factor * W]."""
        shares = self.places(x).unflatten(1, (x.shape[1], self.factor**2)).softmax(2)
        return F.pixel_shuffle((x[:, :, None] * shares).flatten(1, 2), self.factor)


def ceil_divide(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Compute the height and width of a feature map.

    Args:
        size: Height and width of the image in pixels.
        stride: Stride of the map.

    Example:
        >>> ceil_divide((33, 20), 8)
        (5, 3)
    """
    return -(-size[0] // stride), -(-size[1] // stride)


class _Step(nn.Module):
    """Upsamples a map, crops it to the image, then normalises and convolves it."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        factor: int,
        upsampling: ImageUpsampling,
        depth: int,
        norm: Norm,
        activation: Activation,
    ) -> None:
        super().__init__()
        self.enlarge: nn.Module = nn.Identity()
        refine: list[nn.Module] = []
        if factor > 1 and upsampling == "transpose":
            side = 2 * factor
            self.enlarge = nn.ConvTranspose2d(in_channels, out_channels, side, factor, factor // 2, bias=norm == "none")
            refine += [make_norm(norm, out_channels), make_activation(activation)]
            in_channels, depth = out_channels, depth - 1
        elif factor > 1:
            nearest = nn.Upsample(scale_factor=float(factor))
            self.enlarge = Unpool(in_channels, factor) if upsampling == "unpooling" else nearest
        widths = [in_channels] + [out_channels] * depth
        for before, after in pairwise(widths):
            refine.append(ConvBlock(before, after, norm=norm, activation=activation))
        self.refine = nn.Sequential(*refine)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        refined: Tensor = self.refine(crop(self.enlarge(x), size))
        return refined
