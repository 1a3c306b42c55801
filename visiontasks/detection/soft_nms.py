"""Soft non-maximum suppression: boxes that overlap with a better one lose score instead of being dropped."""

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from visiontasks.detection.boxes import box_iou

SoftNMS = Literal["none", "linear", "gaussian"]

_SIGMA = 0.5


def soft_nms(
    boxes: Float[Tensor, "boxes 4"],
    scores: Float[Tensor, " boxes"],
    groups: Int64[Tensor, " boxes"],
    method: Literal["linear", "gaussian"],
    threshold: float,
    least: float,
    most: int,
) -> Float[Tensor, " boxes"]:
    """Lower the scores of boxes by their overlap with better boxes of their group, such as a class in an image.

    Bodla et al., Soft-NMS: improving object detection with one line of code (ICCV 2017), section 4: the box of the
    highest score is taken, the scores of all others are multiplied by a factor, and so on with those that are left.

    Args:
        boxes: The boxes.
        scores: Their scores, above 0.
        groups: Group of each box.
        method: The factor: ``"linear"``, 1 - IoU where that is above the threshold (equation 3); ``"gaussian"``,
            exp(-IoU**2 / 0.5) (section 4).
        threshold: IoU from which on ``"linear"`` lowers scores.
        least: Score that a box needs to be taken.
        most: Number of boxes of a group that are taken at most.

    Returns:
        The lowered score of each box; 0 for one that was not taken.
    """
    if not len(scores):
        return scores
    order = groups.argsort(stable=True)
    _, rows, counts = groups[order].unique_consecutive(return_inverse=True, return_counts=True)
    columns = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[rows]
    shape = len(counts), int(counts.max())
    # A row for each group. What is not in it, or taken, has no score.
    likely = scores.new_full(shape, -torch.inf).index_put((rows, columns), scores[order])
    table = boxes.new_zeros(*shape, 4).index_put((rows, columns), boxes[order])
    lowered, each = scores.new_zeros(shape), torch.arange(shape[0], device=order.device)
    for _ in range(min(most, shape[1])):
        best, chosen = likely.max(1)
        if not (best > least).any():
            break
        lowered[each, chosen] = torch.where(best > least, best, lowered[each, chosen])
        overlaps = box_iou(table[each, chosen][:, None], table)[:, 0]
        if method == "gaussian":
            factors = torch.exp(-overlaps.square() / _SIGMA)
        else:
            factors = torch.where(overlaps > threshold, 1 - overlaps, 1.0)
        likely = torch.where(likely > 0, likely * factors, likely)
        likely[each, chosen] = -torch.inf
    return torch.empty_like(scores).index_put((order,), lowered[rows, columns])
