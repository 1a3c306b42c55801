import pytest
import torch
from torch import Tensor
from torchvision import ops
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import RoIHeads

from tests.detection.scenes import random_boxes, random_targets
from visiontasks.detection.matcher import Targets
from visiontasks.detection.region_sample import RegionSample
from visiontasks.detection.roi_head import RegionBoxLoss, RoIHead
from visiontasks.errors import ArgumentError

CLASSES = 4


def test_detections_are_torchvisions() -> None:
    predictor = FastRCNNPredictor(16, CLASSES + 1)
    theirs = RoIHeads(None, TwoMLPHead(5, 16), predictor, 0.5, 0.5, 64, 0.25, None, 0.1, 0.5, 30)
    ours = RoIHead(5, (1, 1), CLASSES, widths=(16, 16), score_thresh=0.1, detections_per_img=30)
    logits, deltas = torch.randn(120, CLASSES + 1) * 2, torch.randn(120, CLASSES + 1, 4)
    proposals = random_boxes(2, 60)
    sizes = torch.tensor([[80, 90], [100, 70]])
    images = torch.arange(2).repeat_interleave(60)
    found = ours.predict(logits, deltas[:, :CLASSES], proposals.flatten(0, 1), images, sizes)
    # Background is the last class here and the first there.
    expected = theirs.postprocess_detections(
        logits.roll(1, 1), deltas.roll(1, 1).flatten(1), list(proposals), [(80, 90), (100, 70)]
    )
    for image, (boxes, scores, labels) in enumerate(zip(*expected, strict=True)):
        count = len(boxes)
        assert count == 30
        torch.testing.assert_close(found.boxes[image, :count], boxes, rtol=0, atol=1e-3)
        torch.testing.assert_close(found.scores[image, :count], scores, rtol=0, atol=1e-6)
        assert torch.equal(found.labels[image, :count], labels - 1)


def test_the_objects_themselves_are_among_the_proposals() -> None:
    head = RoIHead(2, (1, 1), CLASSES, batch_size_per_image=20, positive_fraction=1.0)
    targets = random_targets([3, 1], CLASSES)
    sample = head.sample(torch.zeros(2, 4, 4), targets)
    for image, count in enumerate((3, 1)):
        sampled = sample.weight[image] > 0
        assert sampled.sum() == count
        assert sorted(sample.labels[image][sampled].tolist()) == sorted(targets.labels[image, :count].tolist())
        torch.testing.assert_close(sample.boxes[image][sampled], sample.objects[image][sampled])
    assert sample.weight.sum() == 1


def test_a_shared_box_is_the_box_of_every_class() -> None:
    head = RoIHead(
        2, (1, 1), CLASSES, widths=(8,), class_agnostic=True, batch_size_per_image=3, score_thresh=0.0, nms_thresh=1.0
    )
    logits, deltas = head(torch.randn(3, 1, 1, 2))
    assert deltas.shape == (3, 1, 4)
    boxes = random_boxes(3)
    found = head.predict(logits, deltas, boxes, torch.zeros(3, dtype=torch.int64), torch.tensor([[100, 100]]))
    assert len(torch.unique(found.boxes[0, :12], dim=0)) == 3
    nothing = Targets(torch.zeros(1, 1, 4), torch.tensor([[-1]]), torch.tensor([[False]]))
    sample = head.sample(boxes[None], nothing)
    logits, deltas = head(torch.randn(sample.labels.numel(), 1, 1, 2))
    terms = head.losses(logits, deltas, sample)
    assert terms["box"] == 0
    assert terms["classification"] > 0


def test_outputs_are_float32_under_autocast() -> None:
    head = RoIHead(2, (3, 3), 4, widths=(5,))
    with torch.autocast("cpu", torch.bfloat16):
        logits, deltas = head(torch.rand(6, 3, 3, 2))
    assert logits.dtype == deltas.dtype == torch.float32
    assert (logits.shape, deltas.shape) == ((6, 5), (6, 4, 4))


def halved(predicted: Tensor, target: Tensor) -> Tensor:
    """A loss of a user's own."""
    return (predicted - target).abs().sum(1) / 2


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("name", ["giou", "diou", "ciou"])
def test_box_losses_by_name_are_torchvisions(name: RegionBoxLoss, agnostic: bool) -> None:
    torch.manual_seed(0)
    head = RoIHead(4, (2, 2), 3, box_loss=name, class_agnostic=agnostic)
    proposals, labels = random_boxes(2, 6, least=5.0), torch.tensor([[0, 1, 2, 3, 3, 3], [1, 1, 3, 3, 3, 2]])
    objects = torch.where((labels < 3)[..., None], proposals + torch.randn(2, 6, 4), proposals)
    deltas = torch.randn(12, 1 if agnostic else 3, 4, requires_grad=True)
    sample = RegionSample(proposals, labels, objects, torch.full((2, 6), 1 / 12), torch.zeros(2, 6).long())
    terms = head.losses(torch.zeros(12, 4), deltas, sample)
    terms["box"].backward()
    kind = {"giou": "generalized", "diou": "distance", "ciou": "complete"}[name]
    reference = getattr(ops, f"{kind}_box_iou_loss")
    expected = torch.zeros(())
    for place in range(12):
        label = int(labels.flatten()[place])
        if label < 3:
            box = head.coder.decode(deltas[place, 0 if agnostic else label], proposals.flatten(0, 1)[place])
            expected = expected + 10 * reference(box[None], objects.flatten(0, 1)[place][None]).sum() / 12
    torch.testing.assert_close(terms["box"], expected)
    assert deltas.grad is not None
    assert deltas.grad.isfinite().all()
    trained = deltas.grad.abs().sum((1, 2)) > 0
    assert torch.equal(trained, labels.flatten() < 3)
    background = RegionSample(proposals, torch.full_like(labels, 3), proposals, sample.weight, sample.matches)
    assert head.losses(torch.zeros(12, 4), deltas, background)["box"] == 0


def test_a_box_loss_of_ones_own_is_taken_as_it_is() -> None:
    head = RoIHead(4, (2, 2), 1, box_loss="tests.detection.test_roi_head.halved")
    boxes = torch.tensor([[[0.0, 0, 8, 8]]])
    sample = RegionSample(boxes, torch.tensor([[0]]), boxes + 1, torch.ones(1, 1), torch.tensor([[0]]))
    assert head.losses(torch.zeros(1, 2), torch.zeros(1, 1, 4), sample)["box"] == 2


@pytest.mark.parametrize("name", ["l1", "giuo"])
def test_an_unknown_box_loss_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match=rf"box_loss is '{name}'"):
        RoIHead(4, (2, 2), 1, box_loss=name)
