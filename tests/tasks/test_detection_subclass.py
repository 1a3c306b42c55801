"""Detectors as researchers write them: another loss, another branch."""

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from tests.tasks.test_detection import SMALL, random_batch
from visiontasks import DetectionTask
from visiontasks.detection.matcher import POSITIVE, Targets
from visiontasks.detection.outputs import DetectionOutputs
from visiontasks.detection.region_sample import RegionSample
from visiontasks.detection.roi_align import roi_align
from visiontasks.detection.roi_head import RoIHead
from visiontasks.detection.rpn import RPN, RPNOutputs
from visiontasks.testing import check_task


class GIoUHead(RoIHead):
    """A head whose boxes learn by generalized IoU."""

    def losses(self, logits: Tensor, deltas: Tensor, sample: RegionSample) -> dict[str, Tensor]:
        labels, weight = sample.labels.flatten(), sample.weight.flatten()
        positive = labels < self.num_classes
        own = deltas[torch.arange(len(labels)), torch.where(positive, labels, 0)]
        boxes = self.coder.decode(own, sample.boxes.flatten(0, 1))
        box = generalized_box_iou_loss(boxes, sample.objects.flatten(0, 1)) * weight * positive
        return super().losses(logits, deltas, sample) | {"box": box.sum()}


class FocalRPN(RPN):
    """Proposals that learn from all anchors."""

    def losses(self, outputs: RPNOutputs, targets: Targets) -> dict[str, Tensor]:
        states, _ = self.matcher(targets, outputs.anchors[None])
        positive = (states == POSITIVE).float()
        terms = sigmoid_focal_loss(outputs.objectness, positive) * (states >= 0)
        return super().losses(outputs, targets) | {"objectness": terms.sum() / positive.sum().clamp(min=1)}


class Researched(DetectionTask):
    """Faster R-CNN with both."""

    rpn_type = FocalRPN
    roi_head_type = GIoUHead


def test_losses_of_ones_own_keep_the_contract() -> None:
    task = Researched(3, **SMALL)
    assert isinstance(task.rpn, FocalRPN)
    check_task(task, random_batch(2, 3))


def test_boxes_that_fit_have_no_loss() -> None:
    head = Researched(3, **SMALL).roi_head
    boxes = torch.tensor([[[0.0, 0, 8, 8], [4, 4, 20, 12]]])
    sample = RegionSample(boxes, torch.tensor([[1, 3]]), boxes, torch.full((1, 2), 0.5), torch.zeros(1, 2).long())
    terms = head.losses(torch.zeros(2, 4), torch.zeros(2, 3, 4), sample)
    assert terms["box"] == 0
    away = sample._replace(objects=boxes + 100)
    assert head.losses(torch.zeros(2, 4), torch.zeros(2, 3, 4), away)["box"] > 0.5


def test_weights_load_into_a_head_of_ones_own(tmp_path: Path) -> None:
    source = DetectionTask(3, **SMALL)
    torch.save(source.state_dict(), tmp_path / "source.pth")
    task = Researched(3, **SMALL, weights=tmp_path / "source.pth")
    assert torch.equal(task.roi_head.bbox_pred.weight, source.roi_head.bbox_pred.weight)


class MaskBatch(NamedTuple):
    """A DetectionBatch with a mask of each object, at the size of the images."""

    images: Tensor
    boxes: Tensor
    labels: Tensor
    ignore: Tensor
    sizes: Tensor
    scale: Tensor
    ids: Tensor
    areas: Tensor
    masks: Tensor


class MaskTask(DetectionTask):
    """Mask R-CNN, of one class."""

    def __init__(self) -> None:
        super().__init__(num_classes=1, **SMALL)
        self.mask_head = nn.Conv2d(SMALL["fpn_width"], 1, 1)

    def losses(self, outputs: DetectionOutputs, batch: MaskBatch) -> dict[str, Tensor]:
        images, objects = torch.nonzero(batch.labels >= 0, as_tuple=True)
        boxes = batch.boxes[images, objects]
        regions = roi_align(outputs.features, self.region_strides, boxes, images, (14, 14))
        logits = self.mask_head(regions.permute(0, 3, 1, 2)).float()
        masks = batch.masks[images, objects][:, None].float()
        each = torch.arange(len(boxes), device=boxes.device)
        targets = roi_align([masks], (1,), boxes, each, (14, 14)).permute(0, 3, 1, 2)
        total = F.binary_cross_entropy_with_logits(logits, targets.clamp(0, 1), reduction="sum")
        return super().losses(outputs, batch) | {"mask": total / max(1, targets.numel())}


def test_a_mask_branch_keeps_the_contract() -> None:
    batch = random_batch(2, 1)
    masks = torch.randint(2, (*batch.labels.shape, *batch.images.shape[-2:]), dtype=torch.uint8)
    check_task(MaskTask(), MaskBatch(*batch, masks))
