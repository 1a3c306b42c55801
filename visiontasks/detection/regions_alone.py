"""Features of regions that a network sees one by one, cut out of the images."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from visiontasks.detection.roi_align import roi_align

_AT_ONCE = 64


def regions_alone(
    compute: Callable[[Tensor], Tensor],
    pixels: Float[Tensor, "batch channels height width"],
    boxes: Float[Tensor, "regions 4"],
    images: Int64[Tensor, " regions"],
    size: tuple[int, int],
) -> Float[Tensor, "regions rows columns channels_out"]:
    """Compute the features of regions from their pixels alone (R-CNN, Girshick et al., CVPR 2014).

    In chunks, so that memory does not grow with the number of proposals in evaluation.

    Args:
        compute: Computes a map of features from images.
        pixels: The normalised images.
        boxes: The regions in pixels, xyxy.
        images: Index in the batch of the image of each region.
        size: Height and width that regions are resized to.
    """
    parts = []
    for part, owners in zip(boxes.split(_AT_ONCE), images.split(_AT_ONCE), strict=True):
        cut = roi_align([pixels], (1,), part, owners, size).permute(0, 3, 1, 2)
        parts.append(compute(cut).permute(0, 2, 3, 1))
    return torch.cat(parts)
