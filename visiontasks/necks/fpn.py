"""Feature pyramids."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import nn
from torchvision.ops import Conv2dNormActivation

from visiontasks.backbones.backbone import Features


class FeaturePyramid(nn.Module):
    """A feature pyramid: maps with equal numbers of channels, in which coarse maps are merged into finer ones.

    Lin et al., Feature pyramid networks for object detection (CVPR 2017), section 3: 1x1 convolutions, a top-down path
    by nearest-neighbour upsampling, and a 3x3 convolution on each map. Parameters have the names of torchvision's
    ``FeaturePyramidNetwork``, and the outputs are equal for the same weights.

    Attributes:
        strides: Strides of the output maps.

    Args:
        channels: Channels of the input maps, fine to coarse.
        strides: Their strides.
        width: Channels of the output maps.
        batch_norm: Whether each convolution is followed by batch normalisation.
        extra: Whether to output one more map, every other position of the coarsest.

    Example:
        >>> import torch
        >>> fpn = FeaturePyramid(channels=(16, 32), strides=(4, 8), width=8)
        >>> [tuple(x.shape) for x in fpn([torch.zeros(1, 16, 9, 5), torch.zeros(1, 32, 5, 3)])]
        [(1, 8, 9, 5), (1, 8, 5, 3), (1, 8, 3, 2)]
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        width: int = 256,
        *,
        batch_norm: bool = False,
        extra: bool = True,
    ) -> None:
        super().__init__()
        norm = nn.BatchNorm2d if batch_norm else None
        self.width = width
        self.extra = extra
        self.strides = (*strides, 2 * strides[-1]) if extra else tuple(strides)
        self.inner_blocks = nn.ModuleList(
            Conv2dNormActivation(count, width, 1, padding=0, norm_layer=norm, activation_layer=None)
            for count in channels
        )
        self.layer_blocks = nn.ModuleList(
            Conv2dNormActivation(width, width, 3, norm_layer=norm, activation_layer=None) for _ in channels
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, features: Features) -> Features:
        """Compute the pyramid of feature maps, fine to coarse."""
        inner = self.inner_blocks[-1](features[-1])
        pyramid = [self.layer_blocks[-1](inner)]
        for level in range(len(features) - 2, -1, -1):
            lateral = self.inner_blocks[level](features[level])
            inner = lateral + F.interpolate(inner, size=lateral.shape[-2:], mode="nearest")
            pyramid.append(self.layer_blocks[level](inner))
        pyramid.reverse()
        return [*pyramid, pyramid[-1][..., ::2, ::2]] if self.extra else pyramid
