"""What the first stage of a detector leaves for the second."""

from typing import NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor

from visiontasks.backbones.base import Features
from visiontasks.detection.rpn import RPNOutputs


class DetectionOutputs(NamedTuple):
    """Features and proposals of a batch of images.

    Attributes:
        features: The maps that regions are read from, fine to coarse; the normalised images where each region is
            computed by itself.
        proposals: Boxes in descending order of objectness, then padding.
        sizes: Height and width of each image.
        rpn: What the network of proposals predicts for each anchor; None without one.
    """

    features: Features
    proposals: Float[Tensor, "batch proposals 4"]
    sizes: Int64[Tensor, "batch 2"]
    rpn: RPNOutputs | None
