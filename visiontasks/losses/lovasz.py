"""Lovász-softmax: a differentiable surrogate of the intersection over union."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from visiontasks.losses.cross_entropy import ClassMasks, LayerMasks, Logits
from visiontasks.types import IGNORED

_LEVELS = 4096


def lovasz_softmax(logits: Logits, masks: ClassMasks, class_weights: Tensor | None = None) -> Float[Tensor, ""]:
    """Compute the Lovász extension of 1 minus the IoU, averaged over the classes that occur in the batch.

    Berman et al., The Lovász-softmax loss (CVPR 2018), equation 11, over all pixels of the batch together. If every
    pixel is ignored, the loss is 0. See :func:`lovasz_extension` for a difference from the paper.

    Args:
        logits: Logits of one class per pixel.
        masks: Class of each pixel.
        class_weights: Weight of each class in the mean, shape [classes].
    """
    classes = torch.arange(logits.shape[1], device=logits.device, dtype=masks.dtype)
    return _mean(logits.softmax(1), masks[:, None] == classes[:, None, None], masks[:, None] != IGNORED, class_weights)


def binary_lovasz(logits: Logits, masks: LayerMasks, class_weights: Tensor | None = None) -> Float[Tensor, ""]:
    """Compute the Lovász extension for binary decisions, with sigmoid probabilities.

    Args:
        logits: Logit of each class at each pixel.
        masks: Whether a pixel belongs to each class.
        class_weights: Weight of each class in the mean, shape [classes].
    """
    return _mean(logits.sigmoid(), masks == 1, masks != IGNORED, class_weights)


def lovasz_extension(errors: Float[Tensor, " pixels"], foreground: Bool[Tensor, " pixels"]) -> Float[Tensor, ""]:
    """Compute the Lovász extension of the Jaccard loss of one class.

    The paper sorts the pixels by error, largest first, and weights each by the increase of the Jaccard loss that it
    causes. Here errors are quantised to 4096 levels, and pixels of the same level share their weights, which is several
    times faster than sorting; loss and gradient are those of an ordering in which errors within 1/4096 of each other
    are tied.

    Args:
        errors: Distance of each probability from its target, 0 to 1.
        foreground: Whether each pixel belongs to the class.

    Example:
        >>> lovasz_extension(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([True, True, False])).item()
        0.5
    """
    # The largest errors first; the sum is exact in float32, and the fraction is cut off by the conversion.
    level = torch.add(_LEVELS - 0.5, errors.detach().float(), alpha=1 - _LEVELS).long()
    cell = level.add_(foreground, alpha=_LEVELS)
    counts = torch.zeros(2 * _LEVELS, dtype=torch.int64, device=errors.device)
    counts = counts.scatter_add_(0, cell, torch.ones_like(cell)).view(2, _LEVELS)
    after = counts.cumsum(1).double()
    wrong, missed = after
    wrong_before, missed_before = after - counts
    positives = missed[-1]

    def jaccard(missed: Tensor, wrong: Tensor) -> Tensor:
        union: Tensor = (positives + wrong).clamp(min=1)
        loss: Tensor = 1 - (positives - missed) / union
        return loss

    start, end = jaccard(missed_before, wrong_before), jaccard(missed, wrong)
    # Within a level either kind may come first; both orders are valid, and so is their mean.
    first, second = jaccard(missed, wrong_before), jaccard(missed_before, wrong)
    growth = torch.stack([end - first + second - start, first - start + end - second]) / 2
    weights = (growth / counts.clamp(min=1)).to(errors.dtype).flatten()
    return (errors * weights[cell]).sum()


def _mean(probabilities: Tensor, foreground: Tensor, counted: Tensor, class_weights: Tensor | None) -> Tensor:
    # Ignored pixels have error 0 and belong to no class, so they come last in the order and have no weight.
    foreground = (foreground & counted).transpose(0, 1).flatten(1)
    errors = ((probabilities * counted).transpose(0, 1).flatten(1) - foreground.to(probabilities.dtype)).abs()
    present = foreground.any(1)
    losses = torch.stack([lovasz_extension(*of_class) for of_class in zip(errors, foreground, strict=True)])
    weights = present.to(losses.dtype) if class_weights is None else present * class_weights.to(losses.dtype)
    return (losses * weights).sum() / weights.sum().clamp(min=1e-7)
