"""For equal weights the detector gives torchvision's detections, and its losses for the same samples."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.models.detection import FasterRCNN, fasterrcnn_resnet50_fpn, fasterrcnn_resnet50_fpn_v2
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor, resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FrozenBatchNorm2d

from visiontasks.detection.boxes import is_box
from visiontasks.detection.published import COCO_IDS, load_detector, read_detector
from visiontasks.detection.sampler import Sample, Sampler
from visiontasks.errors import CheckpointError
from visiontasks.tasks.detection import DetectionTask
from visiontasks.types import DetectionBatch, DetectionPredictions

# The shorter side is what torchvision would resize to, so that it leaves the images as they are.
SHORTER, LONGER = 96, 128
SIZES = [(96, 128), (96, 112), (120, 96)]
CLASSES = 5


NAMES = [
    "resnet18-v1",
    "resnet18-v2",
    *(pytest.param(f"resnet50-{design}", marks=pytest.mark.slow) for design in ("v1", "v2")),
]
Scene = tuple[list[Tensor], list[dict[str, Tensor]], DetectionBatch]


# Fewer regions than by default, of which the second stage would see a thousand per image; the slow tests have those.
FEW_OF_THEIRS = {
    "rpn_pre_nms_top_n_test": 300,
    "rpn_post_nms_top_n_train": 200,
    "rpn_post_nms_top_n_test": 150,
    "box_batch_size_per_image": 64,
}
FEW: dict[str, Any] = {
    "rpn_pre_nms_top_n": (2000, 300),
    "rpn_post_nms_top_n": (200, 150),
    "box_batch_size_per_image": 64,
}


def resnet18_fpn(design: str) -> FasterRCNN:
    """Build the smaller network, which torchvision has no function for, in the design of either of its detectors."""
    norm = nn.BatchNorm2d
    if design == "v1":
        backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None, trainable_layers=5, norm_layer=norm)
        parts: dict[str, Any] = {}
    else:
        backbone = _resnet_fpn_extractor(resnet18(weights=None), 5, norm_layer=norm)
        parts = {
            "rpn_head": RPNHead(256, 3, conv_depth=2),
            "box_head": FastRCNNConvFCHead((256, 7, 7), [256] * 4, [1024], norm_layer=norm),
        }
    return FasterRCNN(backbone, CLASSES + 1, min_size=SHORTER, max_size=LONGER, **FEW_OF_THEIRS, **parts)


def resnet50_fpn(design: str, classes: int = CLASSES) -> FasterRCNN:
    build = fasterrcnn_resnet50_fpn_v2 if design == "v2" else fasterrcnn_resnet50_fpn
    return build(weights=None, weights_backbone=None, num_classes=classes + 1, min_size=SHORTER, max_size=LONGER)


def make(name: str) -> tuple[FasterRCNN, DetectionTask]:
    """Build torchvision's detector with weights that find something, and ours with the same."""
    network, design = name.split("-")
    theirs = resnet18_fpn(design) if network == "resnet18" else resnet50_fpn(design)
    with torch.no_grad():
        # Statistics of batch norm that are none of those it begins with, and outputs that differ between places.
        theirs.train().backbone(torch.randn(4, 3, 96, 96))
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                module.running_mean.add_(0.1 * torch.randn_like(module.running_mean))
        theirs.rpn.head.cls_logits.weight.mul_(5)
        theirs.roi_heads.box_predictor.cls_score.weight.mul_(2)
    options: dict[str, Any] = FEW if network == "resnet18" else {}
    ours = DetectionTask(CLASSES, backbone=network, design=design, **options)  # type: ignore[arg-type]  # one of the two
    return theirs, ours


@pytest.fixture
def scene() -> Scene:
    """Images of different sizes, one of them without boxes, for torchvision and for us."""
    height, width = 128, 128
    images, targets = [], []
    padded = torch.zeros(len(SIZES), 3, height, width)
    boxes, labels = torch.zeros(len(SIZES), 6, 4), torch.full((len(SIZES), 6), -1)
    for index, ((rows, columns), count) in enumerate(zip(SIZES, (6, 0, 2), strict=True)):
        image = torch.rand(3, rows, columns)
        corner = torch.rand(count, 2) * torch.tensor([columns, rows]) * 0.6
        found = torch.cat([corner, corner + 10 + torch.rand(count, 2) * torch.tensor([columns, rows]) * 0.3], 1)
        classes = torch.randint(CLASSES, (count,))
        images.append(image)
        targets.append({"boxes": found, "labels": classes + 1})
        padded[index, :, :rows, :columns] = image
        boxes[index, :count], labels[index, :count] = found, classes
    ignore = torch.zeros_like(labels, dtype=torch.bool)
    sizes, scale = torch.tensor(SIZES), torch.ones(len(SIZES), 2)
    return (
        images,
        targets,
        DetectionBatch(padded, boxes, labels, ignore, sizes, scale, torch.arange(len(SIZES)), boxes[..., 0]),
    )


def assert_same(found: DetectionPredictions, expected: list[dict[str, Tensor]], ids: Tensor) -> None:
    """Compare detections, whose order may differ where scores differ in the last digit."""
    for boxes, scores, labels, image in zip(*found, expected, strict=True):
        count = len(image["boxes"])
        assert (labels[:count] >= 0).all()
        assert (labels[count:] == -1).all()
        assert not boxes[count:].any()
        assert not scores[count:].any()
        same = ids[labels[:count], None] == image["labels"]
        same &= (scores[:count, None] - image["scores"]).abs() < 1e-5
        same &= ((boxes[:count, None] - image["boxes"]).abs() < 1e-3).all(-1)
        assert (same.sum(0) == 1).all()
        assert (same.sum(1) == 1).all()


class Recording:
    """A sampler of ours that remembers what it drew, for torchvision to draw the same."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self.drawn: list[tuple[Tensor, Sample]] = []

    def __call__(self, states: Tensor, at_random: bool = True) -> Sample:
        sample = self.sampler(states, at_random)
        self.drawn.append((states, sample))
        return sample

    def as_torchvision(self, labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        states, sample = self.drawn[0]
        positives, negatives = [], []
        for image, theirs in enumerate(labels):
            mask = torch.zeros(states.shape[1], dtype=torch.uint8)
            mask[sample.indices[image][sample.valid[image]]] = 1
            # Theirs has no padding.
            mask, kinds = (value[self.columns(image, len(theirs), states)] for value in (mask, states[image]))
            assert torch.equal(kinds, theirs.clamp(max=1).long())
            positives.append(mask * (kinds == 1))
            negatives.append(mask * (kinds == 0))
        return positives, negatives

    def columns(self, image: int, count: int, states: Tensor) -> Tensor:
        return torch.arange(states.shape[1])


class RecordingProposals(Recording):
    """Its candidates are padded proposals and padded objects; torchvision's are neither padded."""

    def __init__(self, sampler: Sampler, objects: int) -> None:
        super().__init__(sampler)
        self.objects = objects
        self.kept: list[Tensor] = []

    def columns(self, image: int, count: int, states: Tensor) -> Tensor:
        assert len(self.kept[image]) == count
        return self.kept[image]


@pytest.mark.parametrize("name", NAMES)
def test_detections_are_torchvisions(name: str, scene: Scene, tmp_path: Path) -> None:
    images, _, batch = scene
    theirs, ours = make(name)
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    load_detector(ours, read_detector(tmp_path / "weights.pth"), CLASSES)
    with torch.no_grad():
        expected = theirs.eval()(images)
        outputs = ours.eval()(*ours.inputs(batch))
        found = ours.predict(outputs)
    assert sum(len(image["boxes"]) for image in expected) > 50
    assert_same(found, expected, torch.arange(1, CLASSES + 1))


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_torchvisions_for_the_same_samples(name: str, scene: Scene, tmp_path: Path) -> None:
    images, targets, batch = scene
    theirs, ours = make(name)
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    load_detector(ours, read_detector(tmp_path / "weights.pth"), CLASSES)
    assert ours.rpn is not None
    anchors, proposals = Recording(ours.rpn.sampler), RecordingProposals(ours.roi_head.sampler, 6)
    ours.rpn.sampler, ours.roi_head.sampler = anchors, proposals  # type: ignore[assignment]  # called the same way
    outputs = ours.train()(*ours.inputs(batch))
    terms = ours.losses(outputs, batch)
    candidates = torch.cat([outputs.proposals, batch.boxes], 1)
    proposals.kept = [is_box(boxes).nonzero().flatten() for boxes in candidates]
    own_proposals = [boxes[is_box(boxes)] for boxes in outputs.proposals]
    theirs.train()
    theirs.rpn.filter_proposals = lambda *_: (own_proposals, None)
    theirs.rpn.fg_bg_sampler = anchors.as_torchvision
    theirs.roi_heads.fg_bg_sampler = proposals.as_torchvision
    expected = theirs(images, targets)
    names = {
        "classification": "loss_classifier",
        "box": "loss_box_reg",
        "objectness": "loss_objectness",
        "rpn_box": "loss_rpn_box_reg",
    }
    assert terms.keys() == names.keys()
    for own, other in names.items():
        assert terms[own].item() == pytest.approx(expected[other].item(), rel=1e-5, abs=1e-5), own
        assert expected[other] > 0


def test_published_weights_of_frozen_batch_norm_and_classes_with_gaps(scene: Scene, tmp_path: Path) -> None:
    images, _, batch = scene
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, trainable_layers=0, norm_layer=FrozenBatchNorm2d
    )
    theirs = FasterRCNN(backbone, 91, min_size=SHORTER, max_size=LONGER, **FEW_OF_THEIRS).eval()
    overwrite_eps(theirs, 0.0)
    with torch.no_grad():
        for module in theirs.modules():
            if isinstance(module, FrozenBatchNorm2d):
                # Small, so that 1e-5 more would show.
                module.running_var.copy_(torch.rand_like(module.running_var) * 0.001 + 1e-4)
                module.weight.copy_(0.5 * module.running_var.sqrt())
        predictor = theirs.roi_heads.box_predictor
        gaps = [index for index in range(1, 91) if index not in COCO_IDS]
        predictor.cls_score.bias.copy_(3 * torch.randn(91))
        predictor.cls_score.bias[gaps] = -100
        predictor.bbox_pred.weight.mul_(4)
        theirs.rpn.head.cls_logits.weight.mul_(20)
        expected = theirs(images)
    # The published file names a block by its only convolution.
    state = {
        re.sub(r"(_blocks\.\d+)\.0\.", r"\1.", key).replace("conv.0.0.", "conv."): value
        for key, value in theirs.state_dict().items()
    }
    assert {"backbone.fpn.inner_blocks.0.bias", "rpn.head.conv.weight"} < state.keys()
    path = tmp_path / "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth"
    torch.save(state, path)
    ours = DetectionTask(80, backbone="resnet50", weights=path, **FEW).eval()
    assert ours.hparams["weights"] is None
    with torch.no_grad():
        found = ours.predict(ours(*ours.inputs(batch)))
    assert sum(len(image["boxes"]) for image in expected) > 20
    assert_same(found, expected, torch.tensor(COCO_IDS))


def test_weights_of_another_detector_are_an_error(tmp_path: Path) -> None:
    torch.save(resnet50_fpn("v2").state_dict(), tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="Create the task with the backbone, neck and design"):
        DetectionTask(CLASSES, backbone="resnet50", weights=tmp_path / "weights.pth")


def test_outputs_for_other_classes_are_left_at_random(tmp_path: Path) -> None:
    state = resnet50_fpn("v1", classes=90).state_dict()
    torch.save(state, tmp_path / "weights.pth")
    task = DetectionTask(3, backbone="resnet50", weights=tmp_path / "weights.pth")
    assert task.roi_head.cls_score.weight.shape == (4, 1024)
    torch.testing.assert_close(task.roi_head.hidden[1].weight, state["roi_heads.box_head.fc7.weight"])
