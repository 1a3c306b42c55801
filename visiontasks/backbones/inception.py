"""The Inception module: filters of several sizes side by side."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class BasicConv2d(nn.Module):
    """Convolution, batch normalisation, ReLU; the output has size ``ceil(H / stride)``.

    The class and its parameters have the names of torchvision's Inception networks.

    Args:
        in_channels: Channels of the input.
        out_channels: Number of filters.
        kernel_size: Side of the filters in pixels, or (height, width); odd.
        stride: Stride in pixels.
        batch_norm: Whether to apply batch normalisation; otherwise the convolution has a bias.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 1,
        stride: int = 1,
        *,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        height, width = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        padding = (height // 2, width // 2)
        self.conv = nn.Conv2d(in_channels, out_channels, (height, width), stride, padding, bias=not batch_norm)
        # The published weights of all Inception networks expect this epsilon.
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3) if batch_norm else nn.Identity()

    def forward(self, x: Float[Tensor, "batch _ height width"]) -> Float[Tensor, "batch _ _ _"]:
        """Apply the block, shape [B, C, H, W] to [B, out_channels, ceil(H / stride), ceil(W / stride)]."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class InceptionModule(nn.Module):
    """1x1, 3x3 and 5x5 convolutions and a pooling of the same map, concatenated along the channels.

    Szegedy et al., Going deeper with convolutions (CVPR 2015), Figure 2b. 1x1 convolutions reduce the channels before
    the larger filters and after the pooling (maximum of 3x3 pixels, stride 1). The arguments are in the order of the
    paper's Table 1.

    Args:
        in_channels: Channels of the input.
        filters_1x1: Filters of the 1x1 branch.
        reduce_3x3: Input channels of the 3x3 filters, after the reduction.
        filters_3x3: Filters of the 3x3 branch.
        reduce_5x5: Input channels of the 5x5 filters, after the reduction.
        filters_5x5: Filters of the 5x5 branch.
        filters_pool: Filters of the 1x1 convolution after the pooling.
        batch_norm: Whether batch normalisation follows each convolution.
        third_kernel: Side of the filters of the third branch in pixels; 3 for torchvision's weights.

    Attributes:
        out_channels: Channels of the output.

    Example:
        >>> module = InceptionModule(192, 64, 96, 128, 16, 32, 32)
        >>> module.out_channels, tuple(module(torch.zeros(1, 192, 28, 28)).shape)
        (256, (1, 256, 28, 28))
    """

    def __init__(
        self,
        in_channels: int,
        filters_1x1: int,
        reduce_3x3: int,
        filters_3x3: int,
        reduce_5x5: int,
        filters_5x5: int,
        filters_pool: int,
        *,
        batch_norm: bool = True,
        third_kernel: Literal[3, 5] = 5,
    ) -> None:
        super().__init__()
        self.out_channels = filters_1x1 + filters_3x3 + filters_5x5 + filters_pool
        self.branch1 = BasicConv2d(in_channels, filters_1x1, batch_norm=batch_norm)
        self.branch2 = nn.Sequential(
            BasicConv2d(in_channels, reduce_3x3, batch_norm=batch_norm),
            BasicConv2d(reduce_3x3, filters_3x3, 3, batch_norm=batch_norm),
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(in_channels, reduce_5x5, batch_norm=batch_norm),
            BasicConv2d(reduce_5x5, filters_5x5, third_kernel, batch_norm=batch_norm),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, 1, 1),
            BasicConv2d(in_channels, filters_pool, batch_norm=batch_norm),
        )

    def forward(self, x: Float[Tensor, "batch _ height width"]) -> Float[Tensor, "batch _ height width"]:
        """Apply the module, shape [B, C, H, W] to [B, out_channels, H, W]."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)
