"""Encoding of boxes as deltas from reference boxes, which a network can learn."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

_LARGEST = math.log(1000 / 16)
"""Maximum log ratio of sides when decoding."""


class BoxCoder(NamedTuple):
    """Encodes boxes as shifts of the centre and logarithms of the ratios of the sides, and decodes them.

    Girshick et al., R-CNN (CVPR 2014), appendix C. As torchvision's ``BoxCoder``.

    Attributes:
        weights: Factor of the shifts, which are relative to the sides of the reference, and factor of the logarithms.

    Example:
        >>> reference, box = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[5.0, 0, 25, 10]])
        >>> BoxCoder().encode(box, reference)
        tensor([[1.0000, 0.0000, 0.6931, 0.0000]])
    """

    weights: tuple[float, float] = (1.0, 1.0)

    def encode(
        self, boxes: Float[Tensor, "*boxes 4"], references: Float[Tensor, "*boxes 4"]
    ) -> Float[Tensor, "*boxes 4"]:
        """Compute the deltas of boxes from references; both must have positive areas."""
        sides, origins = references[..., 2:] - references[..., :2], references[..., :2]
        box_sides = boxes[..., 2:] - boxes[..., :2]
        shift = (boxes[..., :2] + 0.5 * box_sides) - (origins + 0.5 * sides)
        return torch.cat([self.weights[0] * shift / sides, self.weights[1] * torch.log(box_sides / sides)], -1)

    def decode(
        self, deltas: Float[Tensor, "*boxes 4"], references: Float[Tensor, "*#boxes 4"]
    ) -> Float[Tensor, "*boxes 4"]:
        """Compute boxes from their deltas; a side grows at most by a factor of 62.5."""
        sides, origins = references[..., 2:] - references[..., :2], references[..., :2]
        center = deltas[..., :2] / self.weights[0] * sides + (origins + 0.5 * sides)
        half = 0.5 * (torch.exp((deltas[..., 2:] / self.weights[1]).clamp(max=_LARGEST)) * sides)
        return torch.cat([center - half, center + half], -1)
