"""For equal weights the masks are torchvision's, and so is their loss for the same samples."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor, resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FrozenBatchNorm2d

from tests.detection.instance_scenes import ellipses, pack_all
from tests.reference import test_torchvision_detectors as detectors
from tests.reference.test_torchvision_detectors import (
    CLASSES,
    LONGER,
    SHORTER,
    Recording,
    RecordingProposals,
    assert_same,
    scene,
)
from visiontasks import InstanceBatch, InstanceSegmentationTask
from visiontasks.detection.boxes import is_box
from visiontasks.detection.published import COCO_IDS, load_detector, read_detector
from visiontasks.types import DetectionPredictions, InstancePredictions

# Masks take most of the time.
FEWER = {"box_detections_per_img": 12, "box_batch_size_per_image": 32}
FEW_OF_THEIRS: dict[str, Any] = {**detectors.FEW_OF_THEIRS, **FEWER}
FEW: dict[str, Any] = {**detectors.FEW, **FEWER}
__all__ = ["scene"]  # a fixture
NAMES = [
    "resnet18-v1",
    "resnet18-v2",
    *(pytest.param(f"resnet50-{design}", marks=pytest.mark.slow) for design in ("v1", "v2")),
]
Instances = tuple[list[Tensor], list[dict[str, Tensor]], InstanceBatch]


def build(network: str, design: str) -> MaskRCNN:
    """Build torchvision's Mask R-CNN in the design of either of its own."""
    sizes: dict[str, Any] = {"min_size": SHORTER, "max_size": LONGER}
    if network == "resnet50":
        make = maskrcnn_resnet50_fpn_v2 if design == "v2" else maskrcnn_resnet50_fpn
        return make(weights=None, weights_backbone=None, num_classes=CLASSES + 1, **sizes)
    norm = nn.BatchNorm2d
    if design == "v1":
        backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None, trainable_layers=5, norm_layer=norm)
        return MaskRCNN(backbone, CLASSES + 1, **sizes, **FEW_OF_THEIRS)
    return MaskRCNN(
        _resnet_fpn_extractor(resnet18(weights=None), 5, norm_layer=norm),
        CLASSES + 1,
        rpn_head=RPNHead(256, 3, conv_depth=2),
        box_head=FastRCNNConvFCHead((256, 7, 7), [256] * 4, [1024], norm_layer=norm),
        mask_head=MaskRCNNHeads(256, [256] * 4, 1, norm_layer=norm),
        **sizes,
        **FEW_OF_THEIRS,
    )


def make(name: str, folder: Path) -> tuple[MaskRCNN, InstanceSegmentationTask]:
    """Build torchvision's detector with weights that find something, and ours with the same."""
    network, design = name.split("-")
    theirs = build(network, design)
    with torch.no_grad():
        theirs.train().backbone(torch.randn(4, 3, 96, 96))
        theirs.rpn.head.cls_logits.weight.mul_(5)
        theirs.roi_heads.box_predictor.cls_score.weight.mul_(2)
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                module.running_mean.add_(0.1 * torch.randn_like(module.running_mean))
    options: dict[str, Any] = FEW if network == "resnet18" else {}
    ours = InstanceSegmentationTask(CLASSES, backbone=network, design=design, **options)
    torch.save(theirs.state_dict(), folder / "weights.pth")
    load_detector(ours, read_detector(folder / "weights.pth"), CLASSES)
    return theirs, ours


@pytest.fixture
def instances(scene: Any) -> Instances:  # noqa: ANN401 - the fixture
    """The scene with the ellipse in each box as the mask of the object."""
    images, targets, batch = scene
    masks = []
    for image, target in zip(images, targets, strict=True):
        target["masks"] = ellipses(target["boxes"], image.shape[-2:])
        masks.append(target["masks"])
    bits, windows = pack_all(masks)
    return (
        images,
        targets,
        InstanceBatch(**batch._asdict(), mask_bits=bits, mask_windows=windows, mask_sizes=batch.sizes),
    )


def boxes_of(found: InstancePredictions) -> DetectionPredictions:
    return DetectionPredictions(found.boxes, found.scores, found.labels)


def assert_same_masks(
    found: InstancePredictions, theirs: list[dict[str, Tensor]], images: list[Tensor], ids: Tensor
) -> None:
    """Compare the masks of the same boxes, pasted into the images as torchvision does."""
    count = 0
    for image, expected in enumerate(theirs):
        for box, label, mask in zip(expected["boxes"], expected["labels"], expected["masks"], strict=True):
            near = (found.boxes[image] - box).abs().amax(1) + 9.0 * (ids[found.labels[image]] != label)
            place = int(near.argmin())
            size = (int(images[image].shape[-2]), int(images[image].shape[-1]))
            pasted = paste_masks_in_image(found.masks[image, place][None, None], found.boxes[image, place][None], size)
            torch.testing.assert_close(pasted[0], mask, rtol=0, atol=1e-3)
            count += 1
    assert count > 20


@pytest.mark.parametrize("name", NAMES)
def test_masks_are_torchvisions(name: str, instances: Instances, tmp_path: Path) -> None:
    images, _, batch = instances
    theirs, ours = make(name, tmp_path)
    with torch.no_grad():
        expected = theirs.eval()(images)
        found = ours.eval().predict(ours(*ours.inputs(batch)))
    ids = torch.arange(1, CLASSES + 1)
    assert_same(boxes_of(found), expected, ids)
    assert_same_masks(found, expected, images, ids)
    assert not found.masks[found.labels < 0].any()


@pytest.mark.parametrize("name", NAMES)
def test_losses_are_torchvisions_for_the_same_samples(name: str, instances: Instances, tmp_path: Path) -> None:
    images, targets, batch = instances
    theirs, ours = make(name, tmp_path)
    assert ours.rpn is not None
    anchors, proposals = Recording(ours.rpn.sampler), RecordingProposals(ours.roi_head.sampler, 6)
    proposals.most_positives = ours.roi_head.sampler.most_positives  # type: ignore[attr-defined]  # as the sampler has
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
        "mask": "loss_mask",
        "objectness": "loss_objectness",
        "rpn_box": "loss_rpn_box_reg",
    }
    assert terms.keys() == names.keys()
    for own, other in names.items():
        assert terms[own].item() == pytest.approx(expected[other].item(), rel=1e-5, abs=1e-5), own
        assert expected[other] > 0


def test_published_weights_of_frozen_batch_norm_and_classes_with_gaps(instances: Instances, tmp_path: Path) -> None:
    images, _, batch = instances
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, trainable_layers=0, norm_layer=FrozenBatchNorm2d
    )
    theirs = MaskRCNN(backbone, 91, min_size=SHORTER, max_size=LONGER, **FEW_OF_THEIRS).eval()
    overwrite_eps(theirs, 0.0)
    with torch.no_grad():
        for module in theirs.modules():
            if isinstance(module, FrozenBatchNorm2d):
                module.running_var.copy_(torch.rand_like(module.running_var) * 0.001 + 1e-4)
                module.weight.copy_(0.5 * module.running_var.sqrt())
        bias = theirs.roi_heads.box_predictor.cls_score.bias
        bias.copy_(3 * torch.randn(91))
        bias[np.setdiff1d(np.arange(1, 91), COCO_IDS)] = -100
        theirs.rpn.head.cls_logits.weight.mul_(20)
        theirs.roi_heads.mask_predictor.mask_fcn_logits.bias.copy_(torch.randn(91))
        expected = theirs(images)
    # The published file names a block by its only convolution, and the convolutions of masks by their number from 1.
    state = {
        re.sub(r"(_blocks\.\d+)\.0\.", r"\1.", key).replace("conv.0.0.", "conv."): value
        for key, value in theirs.state_dict().items()
    }
    state = {
        re.sub(r"mask_head\.(\d)\.0\.", lambda found: f"mask_head.mask_fcn{int(found[1]) + 1}.", key): value
        for key, value in state.items()
    }
    assert "roi_heads.mask_head.mask_fcn4.bias" in state
    path = tmp_path / "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"
    torch.save(state, path)
    ours = InstanceSegmentationTask(80, backbone="resnet50", weights=path, **FEW).eval()
    with torch.no_grad():
        found = ours.predict(ours(*ours.inputs(batch)))
    assert_same(boxes_of(found), expected, torch.tensor(COCO_IDS))
    assert_same_masks(found, expected, images, torch.tensor(COCO_IDS))
