import pytest
import torch
import torch.nn.functional as F
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import maskrcnn_loss, project_masks_on_boxes

from tests.detection.instance_scenes import ellipses
from tests.detection.scenes import random_boxes
from visiontasks.detection.mask_head import MaskHead, mask_loss, of_class, positives
from visiontasks.detection.region_sample import RegionSample
from visiontasks.errors import ArgumentError

CLASSES = 3


def test_loss_is_torchvisions() -> None:
    masks = ellipses(random_boxes(4, least=10.0), (100, 100))
    boxes, objects = random_boxes(9, least=5.0), torch.randint(4, (9,))
    labels, logits = torch.randint(CLASSES, (4,)), torch.randn(9, CLASSES, 28, 28)
    theirs = torch.cat([torch.zeros(9, 1, 28, 28), logits], 1)
    expected = maskrcnn_loss(theirs, [boxes], [masks], [labels + 1], [objects])
    targets = project_masks_on_boxes(masks, boxes, objects, 28)
    found = mask_loss(logits, labels[objects], targets, torch.full((9,), 1 / 9))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("norm", [False, True])
def test_masks_are_torchvisions(norm: bool) -> None:
    theirs = torch.nn.Sequential(
        MaskRCNNHeads(6, [8, 8], 1, torch.nn.BatchNorm2d if norm else None), MaskRCNNPredictor(8, 8, CLASSES)
    )
    ours = MaskHead(6, CLASSES, (8, 8), batch_norm=norm)
    assert len(ours.state_dict()) == len(theirs.state_dict())
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    regions = torch.randn(5, 14, 14, 6)
    torch.testing.assert_close(ours(regions), theirs(regions.permute(0, 3, 1, 2)))


def test_masks_are_float32_under_autocast_and_shared_if_class_agnostic() -> None:
    head = MaskHead(4, CLASSES, (4,), class_agnostic=True)
    with torch.autocast("cpu", torch.bfloat16):
        logits = head(torch.rand(2, 14, 14, 4))
    assert logits.dtype == torch.float32
    assert logits.shape == (2, 1, 28, 28)
    assert torch.equal(of_class(logits, torch.tensor([2, 0])), logits[:, 0])


def test_masks_are_learnt_of_positives_with_a_known_mask() -> None:
    sample = RegionSample(
        random_boxes(2, 5),
        torch.tensor([[3, 1, 0, 2, 1], [3, 3, 3, 3, 3]]),
        random_boxes(2, 5),
        torch.tensor([[0.1, 0.1, 0.1, 0.1, 0], [0.1] * 5]),
        torch.tensor([[0, 1, 0, 2, 1], [0] * 5]),
    )
    known = torch.tensor([[False, True, True], [True, True, True]])
    chosen = positives(sample, known, CLASSES, 3, per_image=False)
    assert chosen.labels.tolist() == [[1, 2, 0], [0, 0, 0]]
    assert chosen.weight.tolist() == [[0.5, 0.5, 0], [0, 0, 0]]
    assert torch.equal(chosen.boxes[0, :2], sample.boxes[0, [1, 3]])
    assert chosen.matches[0, :2].tolist() == [1, 2]
    assert positives(sample, known, CLASSES, 3, per_image=True).weight[0].tolist() == [0.25, 0.25, 0]
    one = positives(sample, known, CLASSES, 1, per_image=False)
    assert one.labels.tolist() == [[1], [0]]


def test_a_loss_without_positives_is_zero_and_connected() -> None:
    logits = torch.randn(1, CLASSES, 28, 28, requires_grad=True)
    loss = mask_loss(logits, torch.tensor([0]), torch.zeros(1, 28, 28), torch.zeros(1))
    assert loss == 0
    loss.backward()
    assert logits.grad is not None
    assert F.l1_loss(logits.grad, torch.zeros_like(logits)) == 0


def test_no_convolutions_are_refused() -> None:
    with pytest.raises(ArgumentError, match="mask_widths is 0; expected at least 1"):
        MaskHead(4, 2, ())
