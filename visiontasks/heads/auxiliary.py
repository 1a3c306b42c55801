"""Auxiliary classifiers, which feed a gradient into the middle of a deep network."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.inception import BasicConv2d


class AuxiliaryHead(nn.Module):
    """Average pooling, a 1x1 convolution, a hidden layer, dropout, one linear layer.

    Szegedy et al., Going deeper with convolutions (CVPR 2015), section 5. As in torchvision, the pooling adapts to 4x4
    positions, so that images may have any size; the paper's pooling of 5x5 pixels with stride 3 gives 4x4 for 224x224
    images. The convolution has batch normalisation, as Szegedy et al. 2016 recommend in section 4.

    Args:
        in_channels: Channels of the map that it reads.
        num_classes: Number of classes, background not counted.
        dropout: Probability that a hidden unit is dropped in training, 0 to 1.
    """

    def __init__(self, in_channels: int, num_classes: int, dropout: float = 0.7) -> None:
        super().__init__()
        self.conv = BasicConv2d(in_channels, 128)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: Float[Tensor, "batch _ height width"]) -> Float[Tensor, "batch classes"]:
        """Compute the logits of a feature map, shape [B, C, H, W] to [B, num_classes]."""
        places = self.conv(F.adaptive_avg_pool2d(x, 4)).flatten(1)
        logits: Tensor = self.fc2(self.dropout(F.relu(self.fc1(places), inplace=True)))
        return logits
