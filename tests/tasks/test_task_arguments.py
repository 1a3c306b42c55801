"""Every argument of a task reaches the part that it names."""

from typing import Any

import pytest
import torch
from torch import nn

from visiontasks import AutoencodingTask, ClassificationTask, DetectionTask, LocalizationTask, SegmentationTask
from visiontasks.detection.roi_head import RoIHead
from visiontasks.detection.rpn import RPN
from visiontasks.errors import ArgumentError
from visiontasks.losses.segmentation import SegmentationLoss

SMALL: dict[str, Any] = {"backbone_options": {"filters": [4, 8], "depth": 1}}


def test_arguments_of_every_task() -> None:
    task = ClassificationTask(
        3, **SMALL, in_channels=2, image_size=(9, 7), freeze=1, skip_nonfinite=4, normalization="unit", warmup=0.25,
        lr_interval="step", lr_scheduler="constant", backbone_lr_factor=0.5, layer_decay=0.75,
    )  # fmt: skip
    assert (task.in_channels, task.image_size, task.normalize.mode) == (2, (9, 7), "unit")
    assert task._parts.unfreezing.freeze == 1
    assert task._parts.finite_updates.limit == 4
    assert task._setup == ("constant", "step", 0.25, 0.5, 0.75, None)
    trained = {name.split(".")[1] for name, value in task.backbone.named_parameters() if value.requires_grad}
    assert trained == {"1"}


def test_a_classifier_does_nothing_that_was_not_asked_for() -> None:
    task = ClassificationTask(3, **SMALL)
    assert (task.head.dropout.p, task.head.pool, task.head.pool_size) == (0.0, "average", 1)
    assert (task.label_smoothing, task.focal_gamma, task.auxiliary_weight, task.class_weights) == (0, 0, 0, None)
    assert (task.test_time_flips, task.test_time_shift, bool(task.mixing)) == ("none", 0, False)
    assert task.decision.fitted == []
    assert ClassificationTask(3, mode="multilabel", **SMALL).decision.thresholds.tolist() == [0.5] * 3
    assert (task._setup.interval, task._setup.warmup_share, task._setup.backbone_factor) == ("epoch", 0.05, 1.0)
    assert task._setup.schedule == "cosine"
    assert all(parameter.requires_grad for parameter in task.parameters())
    optimizer: Any = task._setup.make_optimizer(torch.optim.SGD, task)
    assert {group["lr"] for group in optimizer.param_groups} == {1e-3}


def test_arguments_of_a_classifier() -> None:
    options: dict[str, Any] = {"mode": "multilabel", "thresholds": [0.1, 0.2, 0.3], "calibrate": True}
    task = ClassificationTask(3, list("abc"), **SMALL, **options, dropout=0.25, pool="max", pool_size=2)
    assert (task.head.dropout.p, task.head.pool, task.head.pool_size) == (0.25, "max", 2)
    assert task.decision.thresholds.tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert task.decision.fitted == ["temperature"]
    assert (task.monitor, task.takes) == ("val/map", "multilabel classification")
    assert task.display_names == list("abc")
    assert ClassificationTask(3, **SMALL).display_names == ["0", "1", "2"]


@pytest.mark.parametrize("mode", ["multiclass", "binary", "multilabel"])
def test_arguments_of_a_segmentation(mode: Any) -> None:  # noqa: ANN401 - one of the modes
    classes, outputs = 2, 1 if mode == "binary" else 2
    logits = torch.randn(1, outputs, 6, 5)
    masks = torch.randint(2, (1, *((2,) if mode == "multilabel" else ()), 6, 5), dtype=torch.uint8)
    weights = torch.tensor([1.0, 3.0])
    task = SegmentationTask(
        classes, **SMALL, mode=mode, loss={"cross_entropy": 2.0}, label_smoothing=0.1, class_weights=[1.0, 3.0]
    )
    (found,) = task._loss(logits, masks).values()
    (expected,) = SegmentationLoss({"cross_entropy": 2.0}, mode, 0.1)(logits, masks, weights).values()
    torch.testing.assert_close(found, expected)
    assert task.decoder(task.backbone(torch.rand(1, 3, 8, 8)), (8, 8)).shape == (1, outputs, 8, 8)
    assert "class_weights" not in task.state_dict()
    assert "class_weights" in SegmentationTask(2, **SMALL, class_weights="median_frequency").state_dict()


class SpiedRPN(RPN):
    """Notes its arguments."""

    def __init__(self, *given: Any, **options: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(*given, **options)
        self.given, self.options = given, options


class SpiedRoIHead(RoIHead):
    """Notes its arguments."""

    def __init__(self, *given: Any, **options: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(*given, **options)
        self.given, self.options = given, options


class Spied(DetectionTask):
    """A detector whose parts note their arguments."""

    rpn_type = SpiedRPN
    roi_head_type = SpiedRoIHead


def test_a_detector_has_the_numbers_of_torchvision() -> None:
    task = Spied(5, backbone="resnet18-small")
    assert isinstance(task.rpn, SpiedRPN)
    assert isinstance(task.roi_head, SpiedRoIHead)
    width, anchors = task.rpn.given
    assert (width, anchors.per_place) == (256, 3)
    assert task.rpn.options == {
        "depth": 1,
        "pre_nms_top_n": (2000, 1000),
        "post_nms_top_n": (2000, 1000),
        "batch_size_per_image": 256,
    }
    assert task.roi_head.given == (256, (7, 7), 5)
    assert task.roi_head.options == {
        "convolutions": (),
        "widths": (1024, 1024),
        "class_agnostic": False,
        "batch_size_per_image": 512,
        "score_thresh": 0.05,
        "nms_thresh": 0.5,
        "detections_per_img": 100,
        "box_loss": "smooth_l1",
        "soft_nms": "none",
    }
    # The rest is what they have by themselves.
    assert (task.rpn.nms_thresh, task.rpn.sampler, task.roi_head.sampler) == (
        0.7,
        type(task.rpn.sampler)(256, 0.5),
        type(task.rpn.sampler)(512, 0.25),
    )


def test_arguments_of_a_detector() -> None:
    task = Spied(
        5, **SMALL, design="v2", stride=2, fpn_width=16, head_width=24, anchor_scales=(2, 4), aspect_ratios=(1.0,),
        class_agnostic=True, rpn_pre_nms_top_n=(20, 10), rpn_post_nms_top_n=(8, 4), rpn_batch_size_per_image=6,
        box_batch_size_per_image=5, box_score_thresh=0.3, box_nms_thresh=0.4, box_detections_per_img=9,
        box_loss="giou", box_soft_nms="linear", test_time_flips="both", test_time_scales=[0.5, 1],
    )  # fmt: skip
    assert isinstance(task.rpn, SpiedRPN)
    assert isinstance(task.roi_head, SpiedRoIHead)
    assert (task.rpn.given[0], task.rpn.given[1].per_place) == (16, 2)
    assert task.rpn.options == {
        "depth": 2,
        "pre_nms_top_n": (20, 10),
        "post_nms_top_n": (8, 4),
        "batch_size_per_image": 6,
    }
    assert task.roi_head.options == {
        "convolutions": (16,) * 4,
        "widths": (24,),
        "class_agnostic": True,
        "batch_size_per_image": 5,
        "score_thresh": 0.3,
        "nms_thresh": 0.4,
        "detections_per_img": 9,
        "box_loss": "giou",
        "soft_nms": "linear",
    }
    assert (task.test_time_flips, task.test_time_scales) == ("both", (0.5, 1))
    assert any(isinstance(module, nn.BatchNorm2d) for module in task.neck.modules())
    single = Spied(5, backbone="resnet18", neck="none")
    assert isinstance(single.rpn, SpiedRPN)
    assert single.rpn.given[1].per_place == 15  # five scales on a single map


def test_arguments_of_a_localization() -> None:
    task = LocalizationTask(3, **SMALL, head="pooled", dropout=0.25, class_agnostic=False, box_loss="iou")
    assert [module.p for module in task.head.modules() if isinstance(module, nn.Dropout)] == [0.25]
    outputs = task(torch.rand(2, 3, 8, 8))
    assert outputs.boxes.shape == (2, 3, 4)
    assert task.box_loss == "iou"


def test_arguments_of_an_autoencoder() -> None:
    task = AutoencodingTask(
        5, image_size=(8, 8), **SMALL, denoising="gaussian", noise=0.1, decoder="resize",
        decoder_options={"norm": "none", "activation": "silu"}, bank_size=0,
    )  # fmt: skip
    assert task.corruption is not None
    assert (task.corruption.kind, task.corruption.amount) == ("gaussian", 0.1)
    assert isinstance(task.code.activation, nn.SiLU)
    assert isinstance(task.code.norm, nn.Identity)
    assert "code" not in task.scores.val_metrics.keys(keep_base=True)
    assert "code" in AutoencodingTask(5, image_size=(8, 8), **SMALL).scores.val_metrics.keys(keep_base=True)


@pytest.mark.parametrize("kind", [SegmentationTask, ClassificationTask, LocalizationTask, DetectionTask])
def test_names_in_one_text_are_no_list_of_names(kind: Any) -> None:  # noqa: ANN401 - a task
    with pytest.raises(ArgumentError, match="class_names is 'abc'; expected one entry per class"):
        kind(3, class_names="abc", **SMALL)
