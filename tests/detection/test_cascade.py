"""The cascade against loops over images and regions, written as in Detectron2's CascadeROIHeads."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder
from torchvision.ops import box_iou, clip_boxes_to_image

from tests.detection.scenes import random_boxes, random_targets
from visiontasks.detection.cascade import LOSS_WEIGHTS, STAGES, refine, region_losses
from visiontasks.detection.roi_head import RoIHead

CLASSES = 3
SIZES = [(90, 100), (100, 80)]
WEIGHTS = [(10.0, 10.0, 5.0, 5.0), (20.0, 20.0, 10.0, 10.0), (30.0, 30.0, 15.0, 15.0)]


def read(boxes: Tensor, images: Tensor) -> Tensor:
    """Features that depend on the box and its image, and through which a gradient would flow to the box."""
    values = torch.cat([boxes / 100, images[:, None].float(), boxes.sin()], 1)
    return values[:, None, None, :]


@pytest.fixture
def stages() -> list[RoIHead]:
    torch.manual_seed(0)
    heads = [
        RoIHead(9, (1, 1), CLASSES, widths=(16,), class_agnostic=True, batch_size_per_image=24, **stage._asdict())
        for stage in STAGES
    ]
    with torch.no_grad():
        for head in heads:
            head.cls_score.weight.mul_(5)
            head.bbox_pred.weight.mul_(0.3)
            head.bbox_pred.bias.zero_()
    return heads


def crowded(count: int) -> Tensor:
    """Objects and many proposals near them."""
    return random_boxes(count, side=90.0, least=15.0)


def test_losses_are_those_of_each_stage_on_the_boxes_of_the_one_before(stages: list[RoIHead]) -> None:
    targets = random_targets([4, 2], CLASSES, side=90.0)
    targets = targets._replace(boxes=targets.boxes + torch.tensor([0.0, 0, 25, 25]) * (targets.labels >= 0)[..., None])
    near = targets.boxes[torch.arange(2)[:, None], torch.arange(40) % torch.tensor([[4], [2]])]
    proposals = torch.cat([near + 3 * torch.randn(2, 40, 4), random_boxes(2, 20, least=10.0)], 1)
    sample = stages[0].eval().sample(proposals, targets)  # the same each time
    stages = [stage.eval() for stage in stages]
    terms, last = region_losses(stages, read, proposals, targets, torch.tensor(SIZES))
    assert terms.keys() == {f"{name}_{number}" for name in ("classification", "box") for number in (1, 2, 3)}
    states: list[Tensor] = []
    for number, (stage, factor, weights) in enumerate(zip(stages, LOSS_WEIGHTS, WEIGHTS, strict=True), 1):
        coder = BoxCoder(weights)
        classification, box = [], []
        for image, (height, width) in enumerate(SIZES):
            count = int((targets.labels[image] >= 0).sum())
            objects, labels = targets.boxes[image, :count], targets.labels[image, :count]
            if number == 1:
                boxes = sample.boxes[image][sample.weight[image] > 0]
            else:
                boxes = clip_boxes_to_image(states[image], (height, width))
                boxes = boxes[((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)]
            iou = box_iou(objects, boxes)
            best, matched = iou.max(0)
            positive = best >= 0.4 + 0.1 * number
            truth = torch.where(positive, labels[matched], CLASSES)
            logits, deltas = stage(read(boxes, torch.full((len(boxes),), image)))
            classification.append(F.cross_entropy(logits, truth))
            expected = coder.encode_single(objects[matched], boxes)
            distance = F.smooth_l1_loss(deltas[:, 0], expected, beta=1 / 9, reduction="none").sum(1)
            box.append((distance * positive).sum() / len(boxes))
            decoded = coder.decode_single(deltas[:, 0].detach(), boxes)
            states[image : image + 1] = [decoded]
            assert 0 < positive.sum() < len(boxes)
        for name, values in (("classification", classification), ("box", box)):
            torch.testing.assert_close(terms[f"{name}_{number}"], factor * torch.stack(values).mean())
    # The sample of the last stage, of which masks are learnt, holds boxes that two stages have refined.
    assert last.boxes.shape == sample.boxes.shape
    assert not torch.equal(last.boxes, sample.boxes)
    assert ((last.labels < CLASSES) <= (last.weight > 0)).all()


def test_no_gradient_goes_through_the_boxes(stages: list[RoIHead]) -> None:
    targets = random_targets([3], CLASSES, side=90.0)
    terms, last = region_losses(stages, read, targets.boxes + 3, targets, torch.tensor(SIZES[:1]))
    assert not last.boxes.requires_grad
    (terms["classification_3"] + terms["box_3"]).backward()
    assert all(parameter.grad is None for stage in stages[:2] for parameter in stage.parameters())
    assert all(parameter.grad is not None for parameter in stages[2].parameters())


def test_scores_are_averaged_over_the_stages_and_boxes_are_of_the_last(stages: list[RoIHead]) -> None:
    boxes = torch.cat([crowded(30), crowded(20)])
    images = torch.tensor([0] * 30 + [1] * 20)
    with torch.no_grad():
        logits, deltas, refined = refine(stages, read, boxes, images, torch.tensor(SIZES))
        found = stages[-1].coder.decode(deltas[:, 0], refined)
        scores = []
        current = boxes
        for stage, weights in zip(stages, WEIGHTS, strict=True):
            own, change = stage(read(current, images))
            scores.append(own.softmax(1))
            current = BoxCoder(weights).decode_single(change[:, 0], current)
            if stage is not stages[-1]:
                clipped = [clip_boxes_to_image(current[images == image], SIZES[image]) for image in (0, 1)]
                current = torch.cat(clipped)
    torch.testing.assert_close(logits.softmax(1), torch.stack(scores).mean(0))
    torch.testing.assert_close(found, current, rtol=1e-4, atol=1e-3)


def test_a_single_head_is_a_cascade_of_one_stage(stages: list[RoIHead]) -> None:
    targets = random_targets([3], CLASSES, side=90.0)
    head = stages[0].eval()
    terms, sample = region_losses([head], read, targets.boxes, targets, torch.tensor(SIZES[:1]))
    logits, deltas = head(read(*sample.flat()))
    assert terms == head.losses(logits, deltas, sample)
    boxes, images = crowded(5), torch.zeros(5, dtype=torch.int64)
    logits, deltas, same = refine([head], read, boxes, images, torch.tensor(SIZES[:1]))
    assert torch.equal(same, boxes)
    for one, other in zip((logits, deltas), head(read(boxes, images)), strict=True):
        assert torch.equal(one, other)
