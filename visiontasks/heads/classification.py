"""The head of a classifier."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.base import Features
from visiontasks.errors import ArgumentError

GlobalPool = Literal["average", "max"]


class ClassificationHead(nn.Module):
    """Global pooling of the coarsest feature map, dropout, one linear layer.

    Args:
        channels: Channels of each feature map, fine to coarse; the last one is used.
        num_classes: Outputs, background not counted.
        dropout: Probability that a pooled feature is dropped in training, 0 to 1.
        global_pool: ``"average"``, or ``"max"`` where a small object on a busy ground has to be found.

    Raises:
        ArgumentError: If the pooling is unknown.
    """

    def __init__(
        self, channels: tuple[int, ...], num_classes: int, dropout: float = 0.0, global_pool: GlobalPool = "average"
    ) -> None:
        super().__init__()
        if global_pool not in ("average", "max"):
            message = f"global_pool is {global_pool!r}; expected 'average' or 'max'."
            raise ArgumentError(message)
        self.global_pool = global_pool
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels[-1], num_classes)

    def forward(self, features: Features) -> Float[Tensor, "batch classes"]:
        """Compute the logits, shape [B, num_classes]."""
        last = features[-1]
        pooled = last.mean((-2, -1)) if self.global_pool == "average" else last.amax((-2, -1))
        logits: Tensor = self.linear(self.dropout(pooled))
        return logits
