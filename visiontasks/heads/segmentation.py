"""A classifier of each position of a feature map."""

from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.layers import ConvBlock, Norm


class PixelHead(nn.Module):
    """A 3x3 convolution to a quarter of the channels, dropout, and a 1x1 convolution.

    As an auxiliary classifier it trains a coarse map to predict the classes by itself (Zhao et al., Pyramid scene
    parsing network, CVPR 2017, section 3.3).

    Args:
        in_channels: Channels of the map.
        num_outputs: Number of logits per position.
        norm: Normalisation after the convolution, see :func:`~visiontasks.backbones.layers.make_norm`.
        dropout: Probability that a channel is dropped in training, 0 to 1.

    Example:
        >>> import torch
        >>> PixelHead(64, num_outputs=5)(torch.zeros(2, 64, 9, 7)).shape
        torch.Size([2, 5, 9, 7])
    """

    def __init__(self, in_channels: int, num_outputs: int, norm: Norm = "batch", dropout: float = 0.1) -> None:
        super().__init__()
        width = max(1, in_channels // 4)
        self.conv = ConvBlock(in_channels, width, norm=norm)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(width, num_outputs, 1)

    def forward(self, x: Float[Tensor, "batch _ height width"]) -> Float[Tensor, "batch outputs height width"]:
        """Compute the logits, shape [B, C, H, W] to [B, num_outputs, H, W]."""
        logits: Tensor = self.classifier(self.dropout(self.conv(x)))
        return logits
