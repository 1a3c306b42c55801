"""Semantic segmentation from a feature pyramid."""

from itertools import pairwise

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import Features
from visiontasks.backbones.initialization import initialize_classifier, initialize_convolutions
from visiontasks.backbones.layers import ConvBlock, Norm
from visiontasks.decoders.decoder import Decoder
from visiontasks.decoders.upsampling import crop, enlarge
from visiontasks.errors import ArgumentError
from visiontasks.necks.fpn import FeaturePyramid


class FPN(Decoder):
    """A feature pyramid whose levels are upsampled to one stride and summed.

    Kirillov et al., Panoptic feature pyramid networks (CVPR 2019), section 3: the pyramid of
    :class:`visiontasks.necks.fpn.FeaturePyramid`; then for each level one block of 3x3 convolution, normalisation, ReLU
    and bilinear upsampling by two per doubling of its stride; the sum of all levels, a 1x1 convolution and bilinear
    upsampling to the pixels. In the paper the finest level has stride 4; here it is the first map of at least that
    stride.

    Args:
        channels: Channels of each feature map, fine to coarse.
        strides: Strides of each feature map, fine to coarse.
        num_outputs: Number of logits per pixel.
        width: Channels of the pyramid.
        head_width: Channels of the blocks after it.
        stride: Stride of the finest map that is used; finer ones are left out, and the coarsest is always used.
        norm: Normalisation in the blocks: ``"batch"``, ``"group"`` as in the paper, ``"instance"`` or ``"none"``.
        dropout: Probability that a channel of the sum is dropped in training, 0 to 1.

    Raises:
        ArgumentError: If a width or the stride is not positive.

    Example:
        >>> import torch
        >>> decoder = FPN(channels=(16, 32), strides=(4, 8), num_outputs=5)
        >>> decoder([torch.zeros(1, 16, 9, 5), torch.zeros(1, 32, 5, 3)], (33, 20)).shape
        torch.Size([1, 5, 33, 20])
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        num_outputs: int,
        *,
        width: int = 256,
        head_width: int = 128,
        stride: int = 4,
        norm: Norm = "group",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(channels, strides)
        if min(width, head_width, stride) < 1:
            message = f"width is {width}, head_width {head_width} and stride {stride}; expected at least 1 each."
            raise ArgumentError(message)
        first = min(sum(reduction < stride for reduction in strides), len(strides) - 1)
        self.levels = len(strides) - first
        used = strides[first:]
        self.pyramid = FeaturePyramid(channels[first:], used, width, extra=False)
        self.heads = nn.ModuleList(_Head(width, head_width, reduction // used[0], norm) for reduction in used)
        initialize_convolutions(self.heads, "fan_in")
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(head_width, num_outputs, 1)
        initialize_classifier(self.classifier, self.levels)

    def forward(self, features: Features, size: tuple[int, int]) -> Float[Tensor, "batch outputs height width"]:
        """Compute the logits; see :meth:`Decoder.forward`."""
        used = features[-self.levels :]
        finest = (used[0].shape[-2], used[0].shape[-1])
        first, *others = [crop(head(level), finest) for head, level in zip(self.heads, self.pyramid(used), strict=True)]
        total = sum(others, start=first)
        return enlarge(self.classifier(self.dropout(total)), self.strides[-self.levels], size)


class _Head(nn.Module):
    """A convolution followed by upsampling by two for each halving of the level's stride; at least one convolution."""

    def __init__(self, in_channels: int, out_channels: int, factor: int, norm: Norm) -> None:
        super().__init__()
        self.factor = factor
        widths = [in_channels] + [out_channels] * max(1, factor.bit_length() - 1)
        self.blocks = nn.ModuleList(ConvBlock(one, other, norm=norm) for one, other in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
            if self.factor > 1:
                x = F.interpolate(x, scale_factor=2.0, mode="bilinear")
        return x
