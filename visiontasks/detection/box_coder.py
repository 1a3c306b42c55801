"""Boxes as deltas from other boxes, which a network can learn."""

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
        weights: Factor of the shifts, which are in sides of the reference, and factor of the logarithms.

    Example:
        >>> reference, box = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[5.0, 0, 25, 10]])
        >>> BoxCoder().encode(box, reference)
        tensor([[1.0000, 0.0000, 0.6931, 0.0000]])
    """

    weights: tuple[float, float] = (1.0, 1.0)

    def encode(
        self, boxes: Float[Tensor, "*boxes 4"], references: Float[Tensor, "*boxes 4"]
    ) -> Float[Tensor, "*boxes 4"]:
        """Compute the deltas of boxes from references; both have an area."""
        sides, origins = references[..., 2:] - references[..., :2], references[..., :2]
        box_sides = boxes[..., 2:] - boxes[..., :2]
        shift = (boxes[..., :2] + 0.5 * box_sides) - (origins + 0.5 * sides)
        return torch.cat([self.weights[0] * shift / sides, self.weights[1] * torch.log(box_sides / sides)], -1)

    def decode(
        self, deltas: Float[Tensor, "*boxes 4"], references: Float[Tensor, "*#boxes 4"]
    ) -> Float[Tensor, "*boxes 4"]:
        """Compute boxes from their deltas; a side becomes at most 62.5 times as long."""
        sides, origins = references[..., 2:] - references[..., :2], references[..., :2]
        center = deltas[..., :2] / self.weights[0] * sides + (origins + 0.5 * sides)
        half = 0.5 * (torch.exp((deltas[..., 2:] / self.weights[1]).clamp(max=_LARGEST)) * sides)
        return torch.cat([center - half, center + half], -1)
