"""Weights of torchvision's detectors, converted to the names of this library."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from visiontasks.backbones.input_channels import adapt_first
from visiontasks.backbones.matching import below
from visiontasks.backbones.published import download_published
from visiontasks.backbones.weight_files import WeightsSource, read_weights_file
from visiontasks.detection.foreign import channels_last, from_detectron2, from_mmdetection
from visiontasks.detection.weight_checks import check_known, check_required
from visiontasks.state_dicts import check_fit

PUBLISHED = (
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "maskrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn_v2",
)
"""Detectors of torchvision with published weights and the architecture of ours."""
PUBLISHED_VIEW = {"policy": "Within", "shorter": 800, "longer": 1333, "multiple": 32}
"""How torchvision brings images to them."""

_FROZEN = ("fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn")
_FROZEN_FILES = tuple(f"{name}_coco" for name in _FROZEN)
_EPS = 1e-5

# Old files name a block after its only convolution.
_RENAMED = (
    (r"^backbone\.body\.", "backbone."),
    (r"^backbone\.fpn\.", "neck."),
    (r"^(neck\.\w+_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2"),
    (r"^(rpn\.head\.conv)\.(weight|bias)$", r"\1.0.0.\2"),
    (r"^roi_heads\.box_predictor\.", "roi_head."),
    (r"^roi_heads\.box_head\.fc6\.", "roi_head.hidden.0."),
    (r"^roi_heads\.box_head\.fc7\.", "roi_head.hidden.1."),
    (r"^roi_heads\.box_head\.([0-3])\.", r"roi_head.convolutions.\1."),
    (r"^roi_heads\.box_head\.5\.", "roi_head.hidden.0."),
    (r"^roi_heads\.mask_head\.mask_fcn1\.", "mask_head.convolutions.0.0."),
    (r"^roi_heads\.mask_head\.mask_fcn2\.", "mask_head.convolutions.1.0."),
    (r"^roi_heads\.mask_head\.mask_fcn3\.", "mask_head.convolutions.2.0."),
    (r"^roi_heads\.mask_head\.mask_fcn4\.", "mask_head.convolutions.3.0."),
    (r"^roi_heads\.mask_head\.", "mask_head.convolutions."),
    (r"^roi_heads\.mask_predictor\.conv5_mask\.", "mask_head.upsampling."),
    (r"^roi_heads\.mask_predictor\.mask_fcn_logits\.", "mask_head.mask_logits."),
)
_PARTS = ("backbone", "neck", "rpn", "cascade", "roi_head", "mask_head")
_REQUIRES = {"arithmetic": "torchvision", "stride_in_1x1": False}
_BIAS = "roi_head.cls_score.bias"
_OUTPUT = re.compile(r"(?:(?:roi_head|cascade\.\d)\.(cls_score|bbox_pred)|mask_head\.(mask_logits))\.\w+")
_OF_ANCHORS = {f"rpn.head.{layer}.{kind}" for layer in ("cls_logits", "bbox_pred") for kind in ("weight", "bias")}
# Ids of the 80 classes of COCO; torchvision has outputs for 0 to 90, and 0 is background.
COCO_IDS = tuple(index for index in range(1, 91) if index not in {12, 26, 29, 30, 45, 66, 68, 69, 71, 83})


def read_detector(weights: str | Path) -> WeightsSource:
    """Read the weights of a detector, converted to our names.

    Args:
        weights: One of `PUBLISHED`, for torchvision's weights trained on COCO, which are downloaded into the cache of
            ``torch.hub`` if missing there. Or a file: a state dict of torchvision's ``FasterRCNN`` or ``MaskRCNN`` with
            a pyramid, weights of Detectron2 or MMDetection (see :mod:`visiontasks.detection.foreign`), or a checkpoint
            of a DetectionTask.

    Returns:
        The weights, and the other contents of a checkpoint.

    Raises:
        ArgumentError: If there is no such file.
        CheckpointError: If the file is damaged, unsafe, or contains no weights of such a detector.
        DownloadError: If the published weights are not in the cache and cannot be downloaded.
    """
    name = str(weights)
    if name in PUBLISHED:
        source = download_published(name)
        return source._replace(weights=from_torchvision(source.weights, frozen=name in _FROZEN), requires=_REQUIRES)
    expected = (
        f"one of {PUBLISHED}, or the path of a state dict of torchvision's FasterRCNN, of a checkpoint, or of weights "
        "of Detectron2 or MMDetection"
    )
    source = read_weights_file(name.removeprefix("detectron2:"), "weights", expected)
    if theirs := below(source.weights, "proposal_generator"):
        return source._replace(contents={}, **from_detectron2(theirs)._asdict())
    if theirs := below(source.weights, "rpn_head"):
        return source._replace(contents={}, **from_mmdetection(theirs, source.contents.get("meta"))._asdict())
    if theirs := below(source.weights, "roi_heads"):
        frozen = Path(weights).name.startswith(_FROZEN_FILES)
        return source._replace(weights=from_torchvision(theirs, frozen=frozen), requires=_REQUIRES)
    own = below(source.weights, "roi_head") or source.weights
    check_known(own, source.origin)
    arguments = source.contents.get("hyper_parameters")
    recorded = arguments.get("arithmetic", "torchvision") if isinstance(arguments, Mapping) else None
    return source._replace(weights=own, requires={"arithmetic": recorded} if recorded else {})


def from_torchvision(state: Mapping[str, Tensor], frozen: bool = False) -> dict[str, Tensor]:
    """Rename and rearrange the weights of torchvision's ``FasterRCNN`` and ``MaskRCNN``.

    ``backbone.body`` becomes ``backbone``, ``backbone.fpn`` ``neck``, ``roi_heads.box_head`` and ``box_predictor``
    ``roi_head``, ``roi_heads.mask_head`` and ``mask_predictor`` ``mask_head``. The first linear layer is permuted to
    channels last. Background moves from the first class to the last, and its box and mask are left out.

    Args:
        state: The state dict.
        frozen: Whether the weights expect a batch norm with epsilon 0, as torchvision's ``COCO_V1`` weights of
            ``fasterrcnn_resnet50_fpn`` and ``maskrcnn_resnet50_fpn`` do; our epsilon is then subtracted from the
            variances.
    """
    weights: dict[str, Tensor] = {}
    for key, value in state.items():
        name = key
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        if frozen and name.endswith("running_var"):
            value = (value.double() - _EPS).to(value.dtype)
        elif name == "roi_head.hidden.0.weight":
            value = channels_last(value)
        elif name.startswith("roi_head.cls_score."):
            value = value.roll(-1, 0)
        elif name.startswith("roi_head.bbox_pred."):
            value = value[4:]
        elif name.startswith("mask_head.mask_logits."):
            value = value[1:]
        weights[name] = value
    return weights


def fit_classes(weights: dict[str, Tensor], num_classes: int) -> set[str]:
    """Select the outputs of COCO's 80 classes from 90, or drop the outputs if the classes differ.

    Args:
        weights: Weights by our names; changed in place.
        num_classes: Number of classes of the detector to load them into.

    Returns:
        Names of the outputs that were dropped.
    """
    classes = len(weights[_BIAS]) - 1
    if classes == num_classes:
        return set()
    chosen = torch.tensor(COCO_IDS) - 1
    dropped = set()
    for key in [key for key in weights if _OUTPUT.fullmatch(key)]:
        value = weights[key]
        scored = int("cls_score" in key)
        if len(value) in (1, 4) and not scored:
            continue  # shared by all classes
        if (classes, num_classes) != (90, len(COCO_IDS)):
            dropped.add(key)
            del weights[key]
            continue
        by_class = value[: len(value) - scored].unflatten(0, (classes, -1))
        weights[key] = torch.cat([by_class[chosen].flatten(0, 1), value[len(value) - scored :]])
    return dropped


def load_detector(task: nn.Module, source: WeightsSource, num_classes: int) -> str:
    """Load the weights of a whole detector; the first convolution is adapted to the channels of the images.

    Weights of masks are left out of a detector without, and masks of weights without stay randomly initialised.

    Args:
        task: A module with ``backbone``, ``neck``, ``rpn``, ``roi_head`` and the like; changed in place.
        source: Weights read by :func:`read_detector`.
        num_classes: Number of classes of the detector. Outputs for other classes stay randomly initialised, but COCO's
            80 are selected from 90. Outputs of the proposals also stay random if the number of anchors per position
            differs.

    Returns:
        A sentence that describes what was loaded.

    Raises:
        CheckpointError: If the weights do not fit this detector; in that case nothing is loaded.
    """
    check_required(task, source)
    current = task.state_dict()
    given = {key: value for key, value in source.weights.items() if _part(key) in _PARTS}
    no_masks = sorted({"mask_head"} & ({_part(key) for key in given} ^ {_part(key) for key in current}))
    tensors = {key: value for key, value in given.items() if _part(key) not in no_masks}
    dropped = fit_classes(tensors, num_classes) if _BIAS in tensors else set()
    adapted = adapt_first(task.get_submodule("backbone"), tensors, "backbone.")
    of_anchors = {
        key for key in _OF_ANCHORS & current.keys() & tensors.keys() if len(current[key]) != len(tensors[key])
    }
    tensors = {key: value for key, value in tensors.items() if key not in of_anchors}
    # Frozen batch norm has no count of batches, and none is needed here.
    left = {key for key in current if key.endswith("num_batches_tracked") and key not in tensors}
    left |= of_anchors | dropped
    parts = set(_PARTS) - set(no_masks)
    expected = {key: value for key, value in current.items() if _part(key) in parts and key not in left}
    check_fit(
        expected,
        tensors,
        f"The weights from {source.origin} are not those of this detector",
        "Create the task with the backbone, neck and design that they were made with: 'resnet50', 'fpn' and 'v1' or "
        "'v2' for torchvision's.",
        file="source",
        model="task",
    )
    task.load_state_dict({**current, **tensors})
    others = [name for name, keys in (("classes", dropped), ("anchors", of_anchors)) if keys]
    left_out = f"its outputs for other {' and '.join(others)} were left out" if others else None
    of_masks = None
    if no_masks:
        without = all(_part(key) != "mask_head" for key in given)
        of_masks = "it has no masks, which start at random" if without else "its masks were left out"
    return f"Weights of the detector from {'; '.join(filter(None, (source.origin, adapted, left_out, of_masks)))}."


def _part(key: str) -> str:
    return key.partition(".")[0]
