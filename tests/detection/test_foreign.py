"""Weights of Detectron2 and MMDetection: files built to their structure, and the arithmetic against torchvision's."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.resnet import Bottleneck
from torchvision.ops import roi_align

from tests.detection.instance_scenes import random_instances
from visiontasks import DetectionTask, InstanceSegmentationTask
from visiontasks.detection.foreign import from_detectron2, from_mmdetection
from visiontasks.detection.published import read_detector
from visiontasks.detection.roi_align import assign_levels
from visiontasks.errors import ArgumentError, CheckpointError

CLASSES = 4
MEAN = [103.53, 116.28, 123.675]
FEW: dict[str, Any] = {"backbone": "resnet50", "rpn_pre_nms_top_n": 100, "rpn_post_nms_top_n": 40}
FITTING: dict[str, Any] = {**FEW, "arithmetic": "detectron2", "backbone_options": {"stride_in_1x1": True}}
FEW_OF_THEIRS = {"rpn_pre_nms_top_n_test": 100, "rpn_post_nms_top_n_test": 40, "box_detections_per_img": 8}


class Unrounded(AnchorGenerator):  # type: ignore[misc]  # torchvision has no types
    """Anchors as Detectron2 computes them."""

    def generate_anchors(self, scales: Any, aspect_ratios: Any, dtype: Any = None, device: Any = None) -> Tensor:  # noqa: ANN401 - as torchvision has it
        anchors = []
        for size in scales:
            for ratio in aspect_ratios:
                width = (size**2 / ratio) ** 0.5
                anchors.append([-width / 2, -ratio * width / 2, width / 2, ratio * width / 2])
        return torch.tensor(anchors)


class Aligned(nn.Module):
    """ROIAlignV2 on a pyramid."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.output_size, self.side = (side, side), side

    def forward(self, features: dict[str, Tensor], boxes: list[Tensor], sizes: list[tuple[int, int]]) -> Tensor:
        every = torch.cat(boxes)
        images = torch.cat([torch.full((len(each),), float(index)) for index, each in enumerate(boxes)])
        levels = torch.floor(4 + torch.log2((every[:, 2:] - every[:, :2]).prod(1).sqrt() / 224 + 1e-8)).clamp(2, 5) - 2
        found = torch.zeros(len(every), 256, self.side, self.side)
        for level, feature in enumerate(list(features.values())[:4]):
            chosen = levels == level
            rois = torch.cat([images[chosen, None], every[chosen]], 1)
            found[chosen] = roi_align(feature, rois, self.side, 1 / 2 ** (level + 2), 0, aligned=True)
        return found


def reference() -> MaskRCNN:
    """torchvision's Mask R-CNN, changed to compute as Detectron2 does: it sees blue, green, red in 0 to 1."""
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, trainable_layers=5, norm_layer=nn.BatchNorm2d
    )
    for module in backbone.modules():
        if isinstance(module, Bottleneck):
            module.conv1.stride, module.conv2.stride = module.conv2.stride, (1, 1)
    sizes = tuple((side,) for side in (32, 64, 128, 256, 512))
    model = MaskRCNN(
        backbone, CLASSES + 1, min_size=96, max_size=128, image_mean=[value / 255 for value in MEAN],
        image_std=[1 / 255] * 3, rpn_anchor_generator=Unrounded(sizes, ((0.5, 1.0, 2.0),) * 5),
        **FEW_OF_THEIRS,
    )  # fmt: skip
    model.roi_heads.box_roi_pool, model.roi_heads.mask_roi_pool = Aligned(7), Aligned(14)
    with torch.no_grad():
        model.backbone.body.conv1.weight.div_(60)  # for pixels in 0 to 255
        model.train().backbone(255 * torch.rand(2, 3, 64, 64) - 110)
        model.rpn.head.cls_logits.weight.mul_(5)
        model.roi_heads.box_predictor.cls_score.weight.mul_(3)
        model.roi_heads.mask_predictor.mask_fcn_logits.bias.copy_(torch.randn(CLASSES + 1))
    return model.eval()


def detectron2_names(model: MaskRCNN) -> dict[str, np.ndarray]:
    """The weights by the names of Detectron2's GeneralizedRCNN, background last and without box and mask."""
    state: dict[str, Tensor] = OrderedDict()
    body = model.backbone.body

    def norm(name: str, layer: Any) -> None:  # noqa: ANN401 - a module
        for kind in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.norm.{kind}"] = getattr(layer, kind)

    state["backbone.bottom_up.stem.conv1.weight"] = body.conv1.weight
    norm("backbone.bottom_up.stem.conv1", body.bn1)
    for stage, layer in enumerate((body.layer1, body.layer2, body.layer3, body.layer4), 2):
        for index, block in enumerate(layer):
            place = f"backbone.bottom_up.res{stage}.{index}"
            if block.downsample is not None:
                state[f"{place}.shortcut.weight"] = block.downsample[0].weight
                norm(f"{place}.shortcut", block.downsample[1])
            for number in (1, 2, 3):
                state[f"{place}.conv{number}.weight"] = getattr(block, f"conv{number}").weight
                norm(f"{place}.conv{number}", getattr(block, f"bn{number}"))
    heads = model.roi_heads
    layers: dict[str, Any] = {
        **{f"backbone.fpn_lateral{n + 2}": model.backbone.fpn.inner_blocks[n][0] for n in range(4)},
        **{f"backbone.fpn_output{n + 2}": model.backbone.fpn.layer_blocks[n][0] for n in range(4)},
        "proposal_generator.rpn_head.conv": model.rpn.head.conv[0][0],
        "proposal_generator.rpn_head.objectness_logits": model.rpn.head.cls_logits,
        "proposal_generator.rpn_head.anchor_deltas": model.rpn.head.bbox_pred,
        "roi_heads.box_head.fc1": heads.box_head.fc6,
        "roi_heads.box_head.fc2": heads.box_head.fc7,
        "roi_heads.box_predictor.cls_score": heads.box_predictor.cls_score,
        "roi_heads.box_predictor.bbox_pred": heads.box_predictor.bbox_pred,
        **{f"roi_heads.mask_head.mask_fcn{n + 1}": heads.mask_head[n][0] for n in range(4)},
        "roi_heads.mask_head.deconv": heads.mask_predictor.conv5_mask,
        "roi_heads.mask_head.predictor": heads.mask_predictor.mask_fcn_logits,
    }
    for name, layer in layers.items():
        for kind in ("weight", "bias"):
            value = getattr(layer, kind)
            if name.endswith("cls_score"):
                value = torch.cat([value[1:], value[:1]])
            elif name.endswith("bbox_pred"):
                value = value[4:]
            elif name.endswith("predictor"):
                value = value[1:]
            state[f"{name}.{kind}"] = value
    return {name: value.detach().numpy() for name, value in state.items()}


def mmdetection_names(state: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """The same by the names of MMDetection's MaskRCNN."""
    renamed = {}
    for key, value in state.items():
        name = key
        for index in range(4):
            name = name.replace(f"backbone.bottom_up.res{index + 2}", f"backbone.layer{index + 1}")
            name = name.replace(f"backbone.fpn_lateral{index + 2}", f"neck.lateral_convs.{index}.conv")
            name = name.replace(f"backbone.fpn_output{index + 2}", f"neck.fpn_convs.{index}.conv")
            name = name.replace(f"conv{index}.norm", f"bn{index}")
            name = name.replace(f"roi_heads.mask_head.mask_fcn{index + 1}", f"roi_head.mask_head.convs.{index}.conv")
        for theirs, other in (
            ("backbone.bottom_up.stem.", "backbone."),
            ("shortcut.norm", "downsample.1"),
            ("shortcut", "downsample.0"),
            ("proposal_generator.rpn_head.conv", "rpn_head.rpn_conv"),
            ("proposal_generator.rpn_head.objectness_logits", "rpn_head.rpn_cls"),
            ("proposal_generator.rpn_head.anchor_deltas", "rpn_head.rpn_reg"),
            ("roi_heads.box_head.fc1", "roi_head.bbox_head.shared_fcs.0"),
            ("roi_heads.box_head.fc2", "roi_head.bbox_head.shared_fcs.1"),
            ("roi_heads.box_predictor.cls_score", "roi_head.bbox_head.fc_cls"),
            ("roi_heads.box_predictor.bbox_pred", "roi_head.bbox_head.fc_reg"),
            ("roi_heads.mask_head.deconv", "roi_head.mask_head.upsample"),
            ("roi_heads.mask_head.predictor", "roi_head.mask_head.conv_logits"),
        ):
            name = name.replace(theirs, other)
        renamed[name] = torch.from_numpy(value)
    return renamed


@pytest.fixture(scope="module")
def model() -> MaskRCNN:
    torch.manual_seed(0)
    return reference()


@pytest.fixture(scope="module")
def files(model: MaskRCNN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights as Detectron2's and MMDetection's files."""
    folder = tmp_path_factory.mktemp("foreign")
    state = detectron2_names(model)
    (folder / "d2.pkl").write_bytes(pickle.dumps({"model": state, "__author__": "Detectron2 Model Zoo"}, protocol=2))
    named = {name: torch.from_numpy(value) for name, value in state.items()}
    extra = {"pixel_mean": torch.tensor(MEAN).view(3, 1, 1), "pixel_std": torch.ones(3, 1, 1)}
    cells = {"proposal_generator.anchor_generator.cell_anchors.0": torch.zeros(3, 4)}
    torch.save({"model": {**named, **extra, **cells}, "iteration": 9}, folder / "d2.pth")
    meta = {"config": "model = dict(backbone=dict(type='ResNet', style='caffe'))", "CLASSES": ("a", "b")}
    torch.save({"meta": meta, "state_dict": mmdetection_names(state)}, folder / "mm.pth")
    return folder


def test_detections_are_those_of_the_arithmetic_of_detectron2(model: MaskRCNN, files: Path) -> None:
    task = InstanceSegmentationTask(CLASSES, weights=files / "d2.pkl", box_detections_per_img=8, **FITTING).eval()
    images = torch.randint(256, (1, 3, 96, 128), dtype=torch.uint8)
    with torch.no_grad():
        found = task.predict(task(images))
        (expected,) = model([images[0].flip(0) / 255])
        logits = task.mask_logits(task.features(task.normalize(images))[:4], expected["boxes"], torch.zeros(8).long())
        mapped = model.backbone((images.flip(1) / 255 - torch.tensor(MEAN).view(3, 1, 1) / 255) * 255)
        theirs = model.roi_heads.mask_roi_pool(mapped, [expected["boxes"]], [(96, 128)])
        theirs = model.roi_heads.mask_predictor(model.roi_heads.mask_head(theirs))[:, 1:]
    assert len(expected["boxes"]) == 8
    order = expected["scores"].argsort(descending=True)
    torch.testing.assert_close(found.scores[0], expected["scores"][order], rtol=0, atol=1e-3)
    torch.testing.assert_close(found.boxes[0], expected["boxes"][order], rtol=0, atol=0.02)
    assert torch.equal(found.labels[0] + 1, expected["labels"][order])
    torch.testing.assert_close(logits, theirs, rtol=1e-3, atol=1e-3)


def test_every_form_gives_the_same_weights(files: Path) -> None:
    one, *others = [read_detector(files / name) for name in ("d2.pkl", "d2.pth", "mm.pth")]
    for other in (*others, read_detector(f"detectron2:{files / 'd2.pkl'}")):
        assert other.weights.keys() == one.weights.keys()
        assert all(torch.equal(value, one.weights[name]) for name, value in other.weights.items())
        assert other.normalization == one.normalization
        assert other.requires == one.requires == {"arithmetic": "detectron2", "stride_in_1x1": True}


def test_a_detector_that_computes_otherwise_is_refused(files: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"arithmetic='detectron2', backbone_options=\{'stride_in_1x1': True\} \(--model.arith"
    ):
        DetectionTask(CLASSES, weights=files / "d2.pkl", **FEW)
    with pytest.raises(CheckpointError, match=r"yours with backbone_options=\{'stride_in_1x1': True\} \("):
        DetectionTask(CLASSES, weights=files / "d2.pkl", arithmetic="detectron2", **FEW)


def test_the_record_keeps_what_the_weights_need(files: Path) -> None:
    task = DetectionTask(CLASSES, weights=files / "mm.pth", **FITTING)
    assert task.hparams["arithmetic"] == "detectron2"
    assert task.hparams["backbone_options"] == {"stride_in_1x1": True}
    assert task.hparams["normalization"]["std"] == pytest.approx([1 / 255] * 3)
    assert task.normalize.mean.flatten().tolist() == pytest.approx([value / 255 for value in MEAN[::-1]])


def test_colours_and_strides_follow_from_what_the_file_says() -> None:
    weight = torch.rand(2, 3, 7, 7)
    stem = {"backbone.bottom_up.stem.conv1.weight": weight}
    rgb = {"pixel_mean": torch.tensor([123.675, 116.28, 103.53]), "pixel_std": torch.tensor([58.395, 57.12, 57.375])}
    assert torch.equal(from_detectron2({**stem, **rgb}).weights["backbone.conv1.weight"], weight)
    assert from_detectron2({**stem, **rgb}).requires["stride_in_1x1"] is False
    assert torch.equal(from_detectron2(stem).weights["backbone.conv1.weight"], weight.flip(1))
    for meta, flipped in (
        ({"config": "style='pytorch'"}, False),
        ({"cfg": 'backbone = dict(style="caffe")'}, True),
        (None, False),
        ({"config": "img_norm_cfg = dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False)"}, True),
    ):
        found = from_mmdetection({"backbone.conv1.weight": weight}, meta)
        assert torch.equal(found.weights["backbone.conv1.weight"], weight.flip(1) if flipped else weight)
        assert found.requires["stride_in_1x1"] is flipped


def test_the_stages_of_a_cascade_are_told_apart() -> None:
    flat = torch.arange(2.0 * 3 * 49).view(2, -1)
    theirs = {}
    for stage in range(3):
        theirs[f"roi_heads.box_head.{stage}.fc1.weight"] = flat + stage
        theirs[f"roi_heads.box_predictor.{stage}.bbox_pred.bias"] = torch.full((4,), float(stage))
    found = from_detectron2(theirs).weights
    other = {
        key.replace("roi_heads.box_head", "roi_head.bbox_head")
        .replace("roi_heads.box_predictor", "roi_head.bbox_head")
        .replace("fc1", "shared_fcs.0")
        .replace("bbox_pred", "fc_reg"): value
        for key, value in theirs.items()
    }
    masks = {f"roi_head.mask_head.{stage}.upsample.bias": torch.full((1,), float(stage)) for stage in range(3)}
    again = from_mmdetection({**other, **masks}, None).weights
    assert again.pop("mask_head.upsampling.bias") == 2
    assert again.keys() == found.keys()
    for stage, name in enumerate(("cascade.0", "cascade.1", "roi_head")):
        # Channels first there, last here.
        expected = (flat + stage).view(2, 3, 7, 7).permute(0, 2, 3, 1).flatten(1)
        assert torch.equal(found[f"{name}.hidden.0.weight"], expected)
        assert torch.equal(again[f"{name}.hidden.0.weight"], expected)
        assert found[f"{name}.bbox_pred.bias"].tolist() == [stage] * 4


@pytest.mark.parametrize(
    ("names", "cause"),
    [
        (["head.cls_subnet.0.weight", "backbone.bottom_up.stem.conv1.weight"], "of Detectron2 without proposals"),
        (["bbox_head.fc_cls.weight"], "or of its version 1"),
        (["transformer.encoder.layers.0.norm1.weight"], "of a transformer"),
        (["model.0.conv.weight", "model.1.conv.weight"], "of a YOLO"),
        (["conv1.weight", "layer1.0.conv1.weight"], "give them as backbone_weights"),
        ([f"part{number}.weight" for number in range(12)], "See the page"),
    ],
)
def test_a_file_of_another_structure_is_refused(names: list[str], cause: str, tmp_path: Path) -> None:
    torch.save({"state_dict": {name: torch.ones(1) for name in names}}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=rf"(?s)other.pth' holds no weights of Faster.*{names[0]}.*{cause}"):
        read_detector(tmp_path / "other.pth")


def test_a_name_of_the_zoo_needs_its_file() -> None:
    with pytest.raises(ArgumentError, match="there is no such file"):
        read_detector("detectron2:faster_rcnn_R_50_FPN_3x")


def test_levels_are_those_of_detectron2() -> None:
    boxes = random_instances(1, 2, (600, 800), 200).boxes[0]
    sides = (boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt()
    expected = torch.floor(4 + torch.log2(sides / 224 + 1e-8)).clamp(2, 5) - 2
    assert torch.equal(assign_levels(boxes, (4, 8, 16, 32)), expected.long())
