"""Non-maximum suppression: of overlapping boxes, only the one with the highest score is kept."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torchvision.ops import nms

from visiontasks.detection.boxes import box_iou
from visiontasks.detection.operators import operators_are_kept

PASSES = 32
"""Passes on a GPU. After n passes only boxes at the end of suppression chains longer than n are undecided; 2,000 random
boxes have chains of about a dozen."""

_AT_ONCE = 25_000
"""Boxes on a GPU up to which torchvision's ``batched_nms`` makes one call, by measurement (pytorch/vision#8925)."""


def suppress(
    boxes: Float[Tensor, "groups boxes 4"],
    valid: Bool[Tensor, "groups boxes"],
    threshold: float,
    labels: Int64[Tensor, "groups boxes"] | None = None,
) -> Bool[Tensor, "groups boxes"]:
    """Find the boxes to keep in several groups at once, with an output of fixed shape.

    On the CPU this uses torchvision's operator. On a GPU that operator has to wait for the number of kept boxes, and an
    exported graph cannot know it; there, the rule "keep a box if no kept box before it overlaps" is applied to all
    boxes at once, repeatedly (Zheng et al., Enhancing geometric factors, 2021, Cluster-NMS).

    Args:
        boxes: Boxes in descending order of score.
        valid: Whether each box counts.
        threshold: IoU above which the later box is suppressed.
        labels: Class of each box, if boxes are suppressed only by boxes of the same class.

    Returns:
        Whether each box is kept.
    """
    if operators_are_kept():
        stays: Tensor = _operator(boxes, valid, threshold, labels)
        return stays
    if boxes.is_cuda or torch.compiler.is_exporting():
        return suppress_in_passes(boxes, valid, threshold, labels)
    keep = torch.zeros_like(valid)
    for group, (counts, stays) in enumerate(zip(valid, keep, strict=True)):
        places = counts.nonzero().flatten()
        candidates, order = boxes[group, places], -places.float()
        if labels is None:
            stays[places[nms(candidates, order, threshold)]] = True
        else:
            stays[places[grouped_nms(candidates, order, labels[group, places], threshold)]] = True
    return keep


@torch.library.custom_op("visiontasks::suppress", mutates_args=())
def _operator(boxes: Tensor, valid: Tensor, threshold: float, labels: Tensor | None = None) -> Tensor:
    return suppress_in_passes(boxes, valid, threshold, labels)


@_operator.register_fake
def _(boxes: Tensor, valid: Tensor, threshold: float, labels: Tensor | None = None) -> Tensor:
    return torch.empty_like(valid)


def suppress_in_passes(
    boxes: Float[Tensor, "groups boxes 4"],
    valid: Bool[Tensor, "groups boxes"],
    threshold: float,
    labels: Int64[Tensor, "groups boxes"] | None = None,
) -> Bool[Tensor, "groups boxes"]:
    """Find the boxes to keep without waiting for the device; see :func:`suppress`.

    Args:
        boxes: Boxes in descending order of score.
        valid: Whether each box counts.
        threshold: IoU above which the later box is suppressed.
        labels: Class of each box, if boxes are suppressed only by boxes of the same class.
    """
    over = box_iou(boxes, boxes) > threshold
    if labels is not None:
        over = over & (labels[:, :, None] == labels[:, None])
    # Every GPU multiplies matrices of float16, not every one those of bfloat16 (pytorch#57773).
    over = over.triu(1).to(torch.float16 if boxes.is_cuda else torch.float32)
    keep = valid
    for _ in range(PASSES):
        # The number of kept boxes that overlap; whether it is above 0 is exact in any precision.
        keep = valid & ~(torch.bmm(keep[:, None].to(over.dtype), over)[:, 0] > 0)
    return keep


def grouped_nms(
    boxes: Float[Tensor, "boxes 4"], scores: Float[Tensor, " boxes"], groups: Int64[Tensor, " boxes"], threshold: float
) -> Int64[Tensor, " kept"]:
    """Suppress boxes within each group, such as a class in an image.

    torchvision's ``batched_nms`` offsets the groups if there are few boxes, which loses precision: more than a
    thousandth of a pixel for many groups.

    Args:
        boxes: The boxes.
        scores: Their scores.
        groups: Group of each box.
        threshold: IoU above which the box of lower score is suppressed.

    Returns:
        Positions of the kept boxes in descending order of score; ties keep their order.
    """
    order = scores.argsort(descending=True, stable=True)
    if not len(order):
        return order
    order = order[groups[order].argsort(stable=True)]
    counts: list[int] = torch.unique_consecutive(groups[order], return_counts=True)[1].tolist()
    apart, likely = boxes, scores
    if boxes.is_cuda:
        # Each call is waited for; in float64, groups that are moved apart lose no digit that counts.
        counts = _join(counts, _AT_ONCE)
        side = boxes.max().double() - boxes.min() + 1
        apart, likely = boxes + (groups * side)[:, None], scores.double()
    kept = [part[nms(apart[part], likely[part], threshold)] for part in order.split(counts)]
    indices = torch.cat(kept).sort().values
    return indices[scores[indices].argsort(descending=True, stable=True)]


def _join(counts: Sequence[int], most: int) -> list[int]:
    """Add neighbouring counts up, as long as their sum is at most so much."""
    joined = [0]
    for count in counts:
        if joined[-1] and joined[-1] + count > most:
            joined.append(0)
        joined[-1] += count
    return joined
