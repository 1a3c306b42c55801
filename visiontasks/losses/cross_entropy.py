"""Cross-entropy and focal loss of pixels, some of which may be ignored."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from visiontasks.losses.focal import binary_focal_loss, focal_loss
from visiontasks.types import IGNORED

Logits = Float[Tensor, "batch classes height width"]
ClassMasks = UInt8[Tensor, "batch height width"]
"""Class of each pixel, 0 to classes - 1; 255 is ignored."""
LayerMasks = UInt8[Tensor, "batch classes height width"]
"""Whether each pixel belongs to each class, 1 or 0; 255 is ignored."""


def pixel_cross_entropy(
    logits: Logits, masks: ClassMasks, class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Compute the mean cross-entropy of all pixels that are not ignored, weighted by class.

    The weighted sum is divided by the sum of the weights of the pixels' classes, as in torch. If every pixel is
    ignored, the loss is 0; in torch it is NaN.

    Args:
        logits: Logits of one class per pixel.
        masks: Class of each pixel.
        class_weights: Weight of each class, shape [classes].
        label_smoothing: Share of the target that is spread over all classes, 0 to 1.

    Example:
        >>> logits = torch.zeros(1, 4, 1, 2)
        >>> pixel_cross_entropy(logits, torch.tensor([[[3, 255]]], dtype=torch.uint8)).item()  # log(4)
        1.386...
    """
    weights = None if class_weights is None else class_weights.to(logits.dtype)
    total = F.cross_entropy(
        logits, masks.long(), weights, ignore_index=IGNORED, reduction="sum", label_smoothing=label_smoothing
    )
    return total / _counted(masks, class_weights, total.dtype)


def pixel_binary_cross_entropy(
    logits: Logits, masks: LayerMasks, class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """Compute the mean binary cross-entropy of all decisions (one per pixel and class) that are not ignored.

    Args:
        logits: Logit of each class at each pixel.
        masks: Whether a pixel belongs to each class.
        class_weights: Weight of each class, shape [classes], or of its targets 0 and 1, shape [classes, 2].
        label_smoothing: A target of 1 becomes ``1 - label_smoothing / 2``, a target of 0 ``label_smoothing / 2``.
    """
    weights = _decision_weights(masks, class_weights, logits.dtype)
    targets = _targets(masks, logits.dtype) * (1 - label_smoothing) + label_smoothing / 2
    total = F.binary_cross_entropy_with_logits(logits, targets, weights, reduction="sum")
    return total / _at_least_something(weights.sum())


def pixel_focal(
    logits: Logits, masks: ClassMasks, class_weights: Tensor | None = None, gamma: float = 2.0
) -> Float[Tensor, ""]:
    """Compute the mean focal loss of all pixels that are not ignored, see :func:`~visiontasks.losses.focal.focal_loss`.

    The mean is weighted as in :func:`pixel_cross_entropy`, which is the special case of gamma 0.

    Args:
        logits: Logits of one class per pixel.
        masks: Class of each pixel.
        class_weights: Weight of each class, shape [classes].
        gamma: Strength of down-weighting pixels that are already classified well, at least 0.
    """
    terms = focal_loss(logits, masks, gamma, class_weights, ignore_index=IGNORED)
    return terms.sum() / _counted(masks, class_weights, logits.dtype)


def pixel_binary_focal(
    logits: Logits, masks: LayerMasks, class_weights: Tensor | None = None, gamma: float = 2.0
) -> Float[Tensor, ""]:
    """Compute the mean binary focal loss of all decisions (one per pixel and class), see :func:`pixel_focal`.

    Args:
        logits: Logit of each class at each pixel.
        masks: Whether a pixel belongs to each class.
        class_weights: Weight of each class, shape [classes], or of its targets 0 and 1, shape [classes, 2].
        gamma: Strength of down-weighting decisions that are already correct, at least 0.
    """
    weights = _decision_weights(masks, class_weights, logits.dtype)
    terms = weights * binary_focal_loss(logits, _targets(masks, logits.dtype), gamma)
    return terms.sum() / _at_least_something(weights.sum())


def _counted(masks: Tensor, class_weights: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Sum the weights of the pixels that are not ignored."""
    if class_weights is None:
        return (masks != IGNORED).sum().clamp(min=1).to(dtype)
    return _at_least_something(_pixel_weights(masks, class_weights, dtype).sum())


def _pixel_weights(masks: Tensor, class_weights: Tensor | None, dtype: torch.dtype) -> Tensor:
    if class_weights is None:
        return (masks != IGNORED).to(dtype)
    table = F.pad(class_weights.to(dtype), (0, IGNORED + 1 - len(class_weights)))
    return table[masks.long()]


def _decision_weights(masks: Tensor, class_weights: Tensor | None, dtype: torch.dtype) -> Tensor:
    counted = (masks != IGNORED).to(dtype)
    if class_weights is None:
        return counted
    both = class_weights.to(dtype).reshape(len(class_weights), -1)[..., None, None]
    return counted * torch.where(masks == 1, both[:, -1], both[:, 0])


def _targets(masks: Tensor, dtype: torch.dtype) -> Tensor:
    return (masks == 1).to(dtype)


def _at_least_something(total: Tensor) -> Tensor:
    return total.clamp(min=torch.finfo(total.dtype).tiny)
