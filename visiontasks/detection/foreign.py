"""Weights of the detectors of Detectron2 and MMDetection, converted to the names of this library.

Faster, Mask and Cascade R-CNN on ResNet with a pyramid. Both programs read regions aligned and do not round anchors:
``arithmetic="detectron2"``. Background is the last class there too, and boxes are encoded by the same deltas.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from visiontasks.backbones.backbone import ChannelValues

_STEM = "backbone.conv1.weight"
_CELLS = 7
_FIRST = re.compile(r"(roi_head|cascade\.\d)\.hidden\.0\.weight")
_CAFFE = ChannelValues(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0])
"""Blue, green and red, 0 to 255: what the ResNets of MSRA expect, which Detectron2's configurations start from."""

_BLOCK = r"^backbone\.bottom_up\.res(\d)\.(\d+)\."
_OF_DETECTRON2 = (
    (r"^backbone\.bottom_up\.stem\.conv1\.norm\.", "backbone.bn1."),
    (r"^backbone\.bottom_up\.stem\.conv1\.", "backbone.conv1."),
    (rf"{_BLOCK}conv(\d)\.norm\.", lambda found: f"{_block(found)}bn{found[3]}."),
    (rf"{_BLOCK}shortcut\.norm\.", lambda found: f"{_block(found)}downsample.1."),
    (rf"{_BLOCK}shortcut\.", lambda found: f"{_block(found)}downsample.0."),
    (_BLOCK, lambda found: _block(found)),
    (r"^backbone\.fpn_lateral(\d)\.", lambda found: f"neck.inner_blocks.{int(found[1]) - 2}.0."),
    (r"^backbone\.fpn_output(\d)\.", lambda found: f"neck.layer_blocks.{int(found[1]) - 2}.0."),
    (r"^proposal_generator\.rpn_head\.conv\.(?=\w+$)", "rpn.head.conv.0.0."),
    (r"^proposal_generator\.rpn_head\.objectness_logits\.", "rpn.head.cls_logits."),
    (r"^proposal_generator\.rpn_head\.anchor_deltas\.", "rpn.head.bbox_pred."),
    (r"^roi_heads\.box_head\.(?:(\d)\.)?fc(\d)\.", lambda found: f"{_stage(found)}hidden.{int(found[2]) - 1}."),
    (r"^roi_heads\.box_predictor\.(?:(\d)\.)?", lambda found: _stage(found)),
    (r"^roi_heads\.mask_head\.mask_fcn(\d)\.", lambda found: f"mask_head.convolutions.{int(found[1]) - 1}.0."),
    (r"^roi_heads\.mask_head\.deconv\.", "mask_head.upsampling."),
    (r"^roi_heads\.mask_head\.predictor\.", "mask_head.mask_logits."),
)
_OF_MMDETECTION = (
    (r"^neck\.lateral_convs\.(\d)\.conv\.", r"neck.inner_blocks.\1.0."),
    (r"^neck\.fpn_convs\.(\d)\.conv\.", r"neck.layer_blocks.\1.0."),
    (r"^rpn_head\.rpn_conv\.", "rpn.head.conv.0.0."),
    (r"^rpn_head\.rpn_cls\.", "rpn.head.cls_logits."),
    (r"^rpn_head\.rpn_reg\.", "rpn.head.bbox_pred."),
    (r"^roi_head\.bbox_head\.(?:(\d)\.)?shared_fcs\.", lambda found: f"{_stage(found)}hidden."),
    (r"^roi_head\.bbox_head\.(?:(\d)\.)?fc_cls\.", lambda found: f"{_stage(found)}cls_score."),
    (r"^roi_head\.bbox_head\.(?:(\d)\.)?fc_reg\.", lambda found: f"{_stage(found)}bbox_pred."),
    (r"^roi_head\.mask_head\.(?:2\.)?convs\.(\d)\.conv\.", r"mask_head.convolutions.\1.0."),
    (r"^roi_head\.mask_head\.(?:2\.)?upsample\.", "mask_head.upsampling."),
    (r"^roi_head\.mask_head\.(?:2\.)?conv_logits\.", "mask_head.mask_logits."),
)
# What a file may hold besides: constants, and heads of masks of earlier stages.
_LEFT_OUT = re.compile(
    r"pixel_(mean|std)|proposal_generator\.anchor_generator\..*|data_preprocessor\..*|roi_head\.mask_head\.[01]\..*"
)


class Foreign(NamedTuple):
    """Weights of another program, by our names.

    Attributes:
        weights: The weights.
        normalization: How pixels were normalised for them.
        requires: Arguments of the task and its backbone that the weights are made for.
    """

    weights: dict[str, Tensor]
    normalization: ChannelValues
    requires: dict[str, Any]


def channels_last(weight: Tensor) -> Tensor:
    """Permute the weight of a linear layer that reads the features of a region, row by row of each channel."""
    by_position: Tensor = weight.unflatten(1, (-1, _CELLS, _CELLS)).permute(0, 2, 3, 1)
    return by_position.flatten(1)


def _stage(found: re.Match[str]) -> str:
    return "roi_head." if found[1] in (None, "2") else f"cascade.{found[1]}."


def _block(found: re.Match[str]) -> str:
    return f"backbone.layer{int(found[1]) - 1}.{found[2]}."


def from_detectron2(state: Mapping[str, Tensor]) -> Foreign:
    """Rename and rearrange the weights of a detector of Detectron2.

    Colours and strides follow from ``pixel_mean`` and ``pixel_std``; a file without them is taken for one of the
    default configuration: blue, green, red in 0 to 255, less their mean, and strides in 1x1 convolutions.

    Args:
        state: The weights by their names, such as ``backbone.bottom_up.stem.conv1.weight``.
    """
    pixels = _CAFFE
    if {"pixel_mean", "pixel_std"} <= state.keys():
        # As they were written in the configuration, before they were float32.
        mean, std = ([round(one, 4) for one in state[f"pixel_{of}"].flatten().tolist()] for of in ("mean", "std"))
        pixels = ChannelValues(mean=mean, std=std)
    return _converted(state, _OF_DETECTRON2, pixels, stride_in_1x1=set(pixels["std"]) == {1.0})


def from_mmdetection(state: Mapping[str, Tensor], meta: object) -> Foreign:
    """Rename and rearrange the weights of a detector of MMDetection.

    Of a cascade, whose stages have a mask head each there, that of the last stage is taken.

    Args:
        state: The weights by their names, such as ``roi_head.bbox_head.fc_cls.weight``.
        meta: What the file says of them; its configuration, which says ``style='caffe'`` where strides are in 1x1
            convolutions and colours are blue, green and red.
    """
    caffe = re.search(r"style\W+caffe|(?:bgr_)?to_rgb\W+False", str(meta)) is not None
    pixels = _CAFFE if caffe else ChannelValues(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
    return _converted(state, _OF_MMDETECTION, pixels, stride_in_1x1=caffe)


def _converted(state: Mapping[str, Tensor], names: Any, pixels: ChannelValues, *, stride_in_1x1: bool) -> Foreign:  # noqa: ANN401 (patterns with texts or functions)
    weights: dict[str, Tensor] = {}
    for key, value in state.items():
        if _LEFT_OUT.fullmatch(key):
            continue
        name = key
        for pattern, replacement in names:
            name, replaced = re.subn(pattern, replacement, name)
            if replaced:
                break
        weights[name] = channels_last(value) if _FIRST.fullmatch(name) else value
    # The first channel is the one with the lowest mean: blue, in pictures of ImageNet.
    if pixels["mean"][0] < pixels["mean"][2]:
        if _STEM in weights:
            weights[_STEM] = weights[_STEM].flip(1)
        pixels = ChannelValues(mean=pixels["mean"][::-1], std=pixels["std"][::-1])
    scaled = ChannelValues(mean=[one / 255 for one in pixels["mean"]], std=[one / 255 for one in pixels["std"]])
    return Foreign(weights, scaled, {"arithmetic": "detectron2", "stride_in_1x1": stride_in_1x1})
