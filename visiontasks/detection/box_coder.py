"""Boxes as differences from other boxes, which a network can learn."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

_LARGEST = math.log(1000 / 16)
"""Largest logarithm of a ratio of sides that is decoded."""


class BoxCoder(NamedTuple):
    """Turns boxes into shifts of the centre and logarithms of the ratio of the sides, and back.

    Girshick et al., R-CNN (CVPR 2014), appendix C. As torchvision's ``BoxCoder``.

    Attributes:
        center: Factor of the shifts, which are in sides of the reference.
        side: Factor of the logarithms.

    Example:
        >>> reference, box = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[5.0, 0, 25, 10]])
        >>> BoxCoder().encode(box, reference)
        tensor([[1.0000, 0.0000, 0.6931, 0.0000]])
    """

    center: float = 1.0
    side: float = 1.0

    def encode(
        self, boxes: Float[Tensor, "*boxes 4"], references: Float[Tensor, "*boxes 4"]
    ) -> Float[Tensor, "*boxes 4"]:
        """Compute the differences of boxes from references; both have an area."""
        sides, origins = references[..., 2:] - references[..., :2], references[..., :2]
        box_sides = boxes[..., 2:] - boxes[..., :2]
        shift = (boxes[..., :2] + 0.5 * box_sides) - (origins + 0.5 * sides)
        return torch.cat([self.center * shift / sides, self.side * torch.log(box_sides / sides)], -1)

    def decode(
        self, differences: Float[Tensor, "*boxes 4"], references: Float[Tensor, "*#boxes 4"]
    ) -> Float[Tensor, "*boxes 4"]:
        """Compute boxes from their differences; a side becomes at most 62.5 times as long."""
        sides, origins = references[..., 2:] - references[..., :2], references[..., :2]
        center = differences[..., :2] / self.center * sides + (origins + 0.5 * sides)
        half = 0.5 * (torch.exp((differences[..., 2:] / self.side).clamp(max=_LARGEST)) * sides)
        return torch.cat([center - half, center + half], -1)
