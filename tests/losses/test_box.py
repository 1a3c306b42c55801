import math
from typing import get_args

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou, complete_box_iou_loss, distance_box_iou_loss, generalized_box_iou_loss

from visiontasks.errors import ArgumentError
from visiontasks.losses.box import BoxLoss, box_loss, paired_iou

NAMES: tuple[BoxLoss, ...] = get_args(BoxLoss)


def random_boxes(count: int) -> Tensor:
    corners = torch.rand(count, 2)
    return torch.cat([corners, corners + torch.rand(count, 2) * 0.6 + 0.01], 1)


def loss_by_hand(a: list[float], b: list[float], name: str) -> float:
    """Compute a loss of two boxes from its definition."""
    if name == "l1":
        return sum(abs(p - q) for p, q in zip(a, b, strict=True))
    if name == "smooth_l1":
        distances = [abs(p - q) for p, q in zip(a, b, strict=True)]
        return sum(d * d / 0.2 if d < 0.1 else d - 0.05 for d in distances)
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(0, width) * max(0, height)
    (wa, ha), (wb, hb) = ((box[2] - box[0], box[3] - box[1]) for box in (a, b))
    union = wa * ha + wb * hb - overlap
    around = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    loss = 1 - overlap / union
    if name == "giou":
        loss += 1 - union / (around[0] * around[1])
    if name in ("diou", "ciou"):
        shift = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
        loss += math.hypot(*shift) ** 2 / math.hypot(*around) ** 2
    if name == "ciou":
        v = 4 / math.pi**2 * (math.atan(wa / ha) - math.atan(wb / hb)) ** 2
        loss += v * v / (1 - overlap / union + v)
    return loss


@pytest.mark.parametrize("name", NAMES)
def test_each_loss_is_its_definition(name: BoxLoss) -> None:
    predicted, target = random_boxes(200), random_boxes(200)
    assert (paired_iou(predicted, target) == 0).any(), "some do not touch"
    expected = [loss_by_hand(a, b, name) for a, b in zip(predicted.tolist(), target.tolist(), strict=True)]
    assert box_loss(predicted, target, name).tolist() == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize(
    ("name", "reference"),
    [("giou", generalized_box_iou_loss), ("diou", distance_box_iou_loss), ("ciou", complete_box_iou_loss)],
)
def test_losses_and_gradients_are_those_of_torchvision(name: BoxLoss, reference: object) -> None:
    target, one = random_boxes(200), random_boxes(200).requires_grad_()
    other = one.detach().clone().requires_grad_()
    ours, theirs = box_loss(one, target, name), reference(other, target)  # type: ignore[operator]  # a function
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    ours.sum().backward()
    theirs.sum().backward()
    torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-4)


def test_the_iou_of_pairs_is_the_diagonal_of_that_of_all() -> None:
    one, other = random_boxes(50), random_boxes(50)
    torch.testing.assert_close(paired_iou(one, other), box_iou(one, other).diagonal())
    assert paired_iou(torch.zeros(2, 4), torch.zeros(2, 4)).tolist() == [0, 0]


@pytest.mark.parametrize("name", NAMES)
def test_equal_boxes_have_no_loss_and_boxes_without_area_a_finite_gradient(name: BoxLoss) -> None:
    boxes = random_boxes(20)
    assert box_loss(boxes, boxes, name).abs().max() < 1e-5
    flat = torch.tensor([[0.2, 0.3, 0.2, 0.3], [0.0, 0.0, 0.0, 0.0], [0.1, 0.5, 0.9, 0.5]], requires_grad=True)
    losses = box_loss(flat, torch.tensor([[0.1, 0.1, 0.6, 0.6]] * 3), name)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert flat.grad is not None
    assert torch.isfinite(flat.grad).all()


@pytest.mark.parametrize("name", NAMES[2:])
def test_the_unit_does_not_matter_to_losses_of_overlap(name: BoxLoss) -> None:
    predicted, target = random_boxes(50), random_boxes(50)
    torch.testing.assert_close(box_loss(160 * predicted, 160 * target, name), box_loss(predicted, target, name))


@pytest.mark.unchecked  # the annotation says so already
def test_an_unknown_loss_lists_near_matches() -> None:
    with pytest.raises(ArgumentError, match=r"box_loss is 'gio'\. Did you mean 'giou'"):
        box_loss(random_boxes(1), random_boxes(1), "gio")
