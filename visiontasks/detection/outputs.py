"""Outputs of the first stage of a detector for the second."""

from typing import NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor

from visiontasks.backbones.backbone import Features
from visiontasks.detection.rpn import RPNOutputs


class DetectionOutputs(NamedTuple):
    """Features and proposals of a batch of images.

    Attributes:
        features: The maps that regions are read from, fine to coarse; the normalised images if the backbone runs on
            each region.
        proposals: Boxes in descending order of objectness, then padding.
        sizes: Height and width of each image.
        rpn: Predictions of the region proposal network for each anchor; None without one.
        views: Mirrored and resized views of the images, whose detections are merged; empty for the images alone.
    """

    features: Features
    proposals: Float[Tensor, "batch proposals 4"]
    sizes: Int64[Tensor, "batch 2"]
    rpn: RPNOutputs | None
    views: "tuple[DetectionView, ...]" = ()


class DetectionView(NamedTuple):
    """A view of a batch of images.

    Attributes:
        outputs: Its features and proposals, with the sizes of the resized images.
        axes: Axes along which the images are mirrored.
    """

    outputs: DetectionOutputs
    axes: tuple[int, ...]
