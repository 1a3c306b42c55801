"""Losses between predicted and true boxes, by name.

torchvision has most of them, but its versions select overlapping boxes by a mask, which synchronises with the GPU at
every step, and its complete IoU loss is NaN for a box without height. The tests check that these losses equal
torchvision's.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from visiontasks.errors import check_choice
from visiontasks.losses.factors import own_loss

BoxLoss = Literal["smooth_l1", "l1", "iou", "giou", "diou", "ciou"]
Boxes = Float[Tensor, "boxes 4"]

_TINY = 1e-7
_BETA = 0.1


def box_loss(predicted: Boxes, target: Boxes, name: BoxLoss | str = "giou") -> Float[Tensor, " boxes"]:
    """Compute the loss of each box.

    - ``"l1"``: the sum of the absolute differences of the four coordinates.
    - ``"smooth_l1"``: the same, quadratic below 0.1 (Girshick, Fast R-CNN, ICCV 2015, equation 3, with the transition
      at 0.1 instead of 1, because coordinates are shares of an image).
    - ``"iou"``: 1 - IoU; has no gradient if the boxes do not overlap (Yu et al., UnitBox, 2016, take -log IoU).
    - ``"giou"``: 1 - GIoU, which is IoU minus the share of the smallest enclosing box that neither box covers
      (Rezatofighi et al., Generalized intersection over union, CVPR 2019).
    - ``"diou"``: 1 - IoU + the squared distance of the centres over the squared diagonal of the smallest enclosing box
      (Zheng et al., Distance-IoU loss, AAAI 2020, equation 7).
    - ``"ciou"``: ``"diou"`` plus a term for the difference of the aspect ratios (equations 8 to 11).

    Args:
        predicted: xyxy, with x1 <= x2 and y1 <= y2.
        target: xyxy. The first two losses depend on the unit of the coordinates, such as the side of the image; the
            others do not if x and y have the same unit.
        name: Name of the loss, or the import path of a function of your own, called with the two.

    Returns:
        The loss of each box: 0 for equal boxes, at most 2 for the last four losses.

    Raises:
        ArgumentError: If the name is unknown.

    Example:
        >>> one, other = torch.tensor([[0.0, 0.0, 0.5, 0.5]]), torch.tensor([[0.0, 0.0, 0.5, 1.0]])
        >>> [round(box_loss(one, other, name).item(), 3) for name in ("l1", "iou", "giou", "diou")]
        [0.5, 0.5, 0.5, 0.55]
    """
    if "." in name:
        own: Float[Tensor, " boxes"] = own_loss(name)(predicted, target)
        return own
    check_choice("box_loss", name, _LOSSES)
    return _LOSSES[name](predicted, target)


def paired_iou(one: Boxes, other: Boxes) -> Float[Tensor, " boxes"]:
    """Compute the intersection over union of each pair of boxes; 0 if neither has an area.

    Args:
        one: xyxy.
        other: xyxy, the same number.

    Returns:
        The IoU of each pair, 0 to 1.
    """
    iou, _ = _iou_and_union(one, other)
    return iou


def _iou_and_union(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    corner = torch.maximum(one[:, :2], other[:, :2])
    overlap = (torch.minimum(one[:, 2:], other[:, 2:]) - corner).clamp(min=0).prod(1)
    union = _area(one) + _area(other) - overlap
    return overlap / union.clamp(min=_TINY), union


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)


def _around(one: Tensor, other: Tensor) -> Tensor:
    """Compute height and width of the smallest enclosing box of each pair."""
    return torch.maximum(one[:, 2:], other[:, 2:]) - torch.minimum(one[:, :2], other[:, :2])


def _l1(predicted: Tensor, target: Tensor) -> Tensor:
    return (predicted - target).abs().sum(1)


def _smooth_l1(predicted: Tensor, target: Tensor) -> Tensor:
    return F.smooth_l1_loss(predicted, target, reduction="none", beta=_BETA).sum(1)


def _iou(predicted: Tensor, target: Tensor) -> Tensor:
    return 1 - paired_iou(predicted, target)


def _giou(predicted: Tensor, target: Tensor) -> Tensor:
    iou, union = _iou_and_union(predicted, target)
    area = _around(predicted, target).prod(1)
    return 1 - iou + (area - union) / area.clamp(min=_TINY)


def _diou(predicted: Tensor, target: Tensor) -> Tensor:
    centres = (predicted[:, :2] + predicted[:, 2:] - target[:, :2] - target[:, 2:]) / 2
    diagonal = _around(predicted, target).square().sum(1)
    return _iou(predicted, target) + centres.square().sum(1) / diagonal.clamp(min=_TINY)


def _ciou(predicted: Tensor, target: Tensor) -> Tensor:
    # atan2 is defined for a box without height, too.
    angles = [torch.atan2(*(box[:, 2:] - box[:, :2]).clamp(min=_TINY).unbind(1)) for box in (predicted, target)]
    difference = 4 / math.pi**2 * (angles[0] - angles[1]).square()
    with torch.no_grad():
        weight = difference / (_iou(predicted, target) + difference).clamp(min=_TINY)
    return _diou(predicted, target) + weight * difference


_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "smooth_l1": _smooth_l1,
    "l1": _l1,
    "iou": _iou,
    "giou": _giou,
    "diou": _diou,
    "ciou": _ciou,
}
