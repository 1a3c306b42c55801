"""The head of a classifier."""

from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.base import Features


class ClassificationHead(nn.Module):
    """Global average pooling of the coarsest feature map, dropout, one linear layer.

    Args:
        channels: Channels of each feature map, fine to coarse; the last one is used.
        num_classes: Outputs, background not counted.
        dropout: Probability that a pooled feature is dropped in training, 0 to 1.
    """

    def __init__(self, channels: tuple[int, ...], num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels[-1], num_classes)

    def forward(self, features: Features) -> Float[Tensor, "batch classes"]:
        """Compute the logits, shape [B, num_classes]."""
        logits: Tensor = self.linear(self.dropout(features[-1].mean((-2, -1))))
        return logits
