import pytest
import torch
from torch import nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from tests.detection.scenes import random_targets
from visiontasks.detection.anchors import Anchors
from visiontasks.detection.boxes import is_box
from visiontasks.detection.rpn import RPN

STRIDES, SIZES = (8, 16), [(96, 128), (70, 100)]


def pair(candidates: int, proposals: int) -> tuple[RPN, RegionProposalNetwork]:
    """Ours and torchvision's with the same weights, which tell places apart."""
    ours = RPN(12, Anchors(STRIDES, (4,)), pre_nms_top_n=(candidates,) * 2, post_nms_top_n=(proposals,) * 2)
    torch.nn.init.normal_(ours.head.cls_logits.weight, std=0.3)
    generator = AnchorGenerator(((32,), (64,)), ((0.5, 1.0, 2.0),) * 2)
    numbers = {"training": candidates, "testing": candidates}, {"training": proposals, "testing": proposals}
    theirs = RegionProposalNetwork(generator, RPNHead(12, 3), 0.7, 0.3, 256, 0.5, *numbers, 0.7)
    theirs.head.load_state_dict(ours.head.state_dict())
    return ours.eval(), theirs.eval()


def test_proposals_are_torchvisions() -> None:
    features = [torch.randn(2, 12, 96 // stride, 128 // stride) for stride in STRIDES]
    images = ImageList(torch.zeros(2, 3, 96, 128), SIZES)
    for numbers in ((1000, 1000), (50, 20)):
        ours, theirs = pair(*numbers)
        with torch.no_grad():
            found = ours.propose(ours(features), torch.tensor(SIZES))
            expected, _ = theirs(images, {str(level): feature for level, feature in enumerate(features)})
        for boxes, other in zip(found, expected, strict=True):
            assert is_box(boxes).sum() == len(other) > 10
            torch.testing.assert_close(boxes[: len(other)], other, rtol=0, atol=1e-3)
            assert not boxes[len(other) :].any()


def test_fewer_proposals_are_asked_for_in_evaluation() -> None:
    rpn = RPN(4, Anchors((8,)), pre_nms_top_n=(60, 40), post_nms_top_n=(30, 20))
    outputs = rpn([torch.randn(1, 4, 8, 8)])
    sizes = torch.tensor([[64, 64]])
    assert [rpn.train(mode).propose(outputs, sizes).shape[1] for mode in (True, False)] == [30, 20]


def test_one_number_of_proposals_is_that_of_both_stages() -> None:
    rpn = RPN(12, Anchors(STRIDES, (4,)), pre_nms_top_n=50, post_nms_top_n=(20, 7))
    outputs = rpn([torch.randn(1, 12, 96 // stride, 128 // stride) for stride in STRIDES])
    sizes = torch.tensor([[96, 128]])
    assert [int(is_box(rpn.train(mode).propose(outputs, sizes)).sum()) for mode in (True, False)] == [20, 7]
    both = RPN(12, Anchors(STRIDES, (4,)), pre_nms_top_n=50, post_nms_top_n=9)
    assert (both.pre_nms_top_n, both.post_nms_top_n) == ((50, 50), (9, 9))


def test_no_gradient_goes_through_the_proposals() -> None:
    rpn = RPN(4, Anchors((8,)))
    features = [torch.randn(2, 4, 8, 8, requires_grad=True)]
    outputs = rpn(features)
    assert not rpn.propose(outputs, torch.tensor([[64, 64]] * 2)).requires_grad
    terms = rpn.losses(outputs, random_targets([3, 0], side=60.0))
    assert terms.keys() == {"objectness", "rpn_box"}
    torch.stack(list(terms.values())).sum().backward()
    assert all(value.grad is not None for value in rpn.parameters())


def test_a_head_begins_undecided() -> None:
    head = RPN(64, Anchors(STRIDES, (4,)), depth=2).head
    layers = [module for module in head.modules() if isinstance(module, nn.Conv2d)]
    assert len(layers) == 4
    for layer in layers:
        assert layer.bias is not None
        assert not layer.bias.any()
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.2)
