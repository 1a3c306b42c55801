"""Checks that weights are those of a detector of this library, and of one that computes as they expect."""

import re
from collections.abc import Mapping

from torch import Tensor, nn

from visiontasks.backbones.weight_files import WeightsSource
from visiontasks.errors import CheckpointError, listed

_CAUSES = (
    (r"blobs\.|res2_0_branch2a", "They are those of Detectron, the predecessor of Detectron2 on Caffe2."),
    (r"(backbone\.bottom_up|head\.cls_subnet)\.", "They are those of a detector of Detectron2 without proposals."),
    (r"bbox_head\.", "They are those of a detector of MMDetection without proposals, or of its version 1."),
    (r"transformer\.|encoder\.", "They are those of a transformer, such as DETR."),
    (r"model\.\d+\.", "They are those of a YOLO."),
    (r"(stem\.)?conv1\.|res2\.|layer1\.|features\.", "They are those of a backbone: give them as backbone_weights."),
)


def check_known(weights: Mapping[str, Tensor], origin: str) -> None:
    """Check that weights have the names of a detector with regions.

    Args:
        weights: The weights by name.
        origin: Where they come from, for the message.

    Raises:
        CheckpointError: If they do not; the first ten names are listed, with what the weights probably are.
    """
    if any(key.startswith("roi_head.") for key in weights):
        return
    causes = (cause for pattern, cause in _CAUSES if any(re.search(rf"(^|\.){pattern}", key) for key in weights))
    message = (
        f"{origin} holds no weights of Faster, Mask or Cascade R-CNN as torchvision, Detectron2, MMDetection or "
        f"visiontasks name them. It holds:\n  {listed(list(weights), separator=chr(10) + '  ')}\n"
        f"{next(causes, 'See the page Coming from Detectron2 or MMDetection.')}"
    )
    raise CheckpointError(message)


def check_required(task: nn.Module, source: WeightsSource) -> None:
    """Check that a detector computes as its weights expect, which their shapes do not tell.

    Args:
        task: The detector, with ``aligned`` and ``backbone``.
        source: The weights.

    Raises:
        CheckpointError: If it does not.
    """
    own = {
        "arithmetic": "detectron2" if task.aligned else "torchvision",
        "stride_in_1x1": getattr(task.backbone, "stride_in_1x1", False),
    }
    wrong = {name: value for name, value in source.requires.items() if own[name] != value}
    if not wrong:
        return
    arguments = [f"arithmetic={source.requires['arithmetic']!r}"] if "arithmetic" in wrong else []
    flags = [f"--model.arithmetic {source.requires['arithmetic']}"] if "arithmetic" in wrong else []
    if "stride_in_1x1" in wrong:
        arguments.append(f"backbone_options={{'stride_in_1x1': {wrong['stride_in_1x1']}}}")
        flags.append(f"--model.backbone_options '{{stride_in_1x1: {str(wrong['stride_in_1x1']).lower()}}}'")
    message = (
        f"The weights from {source.origin} were trained in a detector that computes otherwise: create yours with "
        f"{', '.join(arguments)} ({' '.join(flags)}). Nothing was loaded."
    )
    raise CheckpointError(message)
