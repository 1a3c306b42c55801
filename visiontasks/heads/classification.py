"""The head of a classifier."""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import Features
from visiontasks.errors import ArgumentError

Pool = Literal["average", "max"]


class ClassificationHead(nn.Module):
    """Pooling of the coarsest feature map, dropout, one linear layer.

    Args:
        channels: Channels of each feature map, fine to coarse; the last one is used.
        num_classes: Number of classes, background not counted.
        dropout: Probability that a pooled feature is dropped in training, 0 to 1.
        pool: ``"average"``, or ``"max"`` to find a small object on a busy background.
        pool_size: Side of the grid that the map is pooled to; 1 pools globally and discards positions, larger values
            keep them, for centred objects such as digits.

    Raises:
        ArgumentError: If the pooling is unknown or its size is not positive.
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        num_classes: int,
        dropout: float = 0.0,
        pool: Pool = "average",
        pool_size: int = 1,
    ) -> None:
        super().__init__()
        if pool not in ("average", "max") or pool_size < 1:
            message = f"pool is {pool!r} and pool_size {pool_size}; expected 'average' or 'max', and at least 1."
            raise ArgumentError(message)
        self.pool = pool
        self.pool_size = pool_size
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels[-1] * pool_size**2, num_classes)

    def forward(self, features: Features) -> Float[Tensor, "batch classes"]:
        """Compute the logits, shape [B, num_classes]."""
        logits: Tensor = self.linear(self.dropout(self._pooled(features[-1])))
        return logits

    def _pooled(self, x: Tensor) -> Tensor:
        if self.pool_size == 1:
            # Unlike adaptive poolings, these accept an empty batch in every memory format and can be exported at any
            # size.
            return x.mean((-2, -1)) if self.pool == "average" else x.amax((-2, -1))
        pool = F.adaptive_avg_pool2d if self.pool == "average" else F.adaptive_max_pool2d
        return pool(x, self.pool_size).flatten(1)
