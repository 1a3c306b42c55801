"""Soft Dice loss."""

import torch
from jaxtyping import Float
from torch import Tensor

from visiontasks.losses.cross_entropy import ClassMasks, LayerMasks, Logits
from visiontasks.types import IGNORED

_LEAST = 1e-7
# Pixels that one float32 sum adds one after the other. Those of the sums are added pairwise, so that the error does not
# grow with the number of pixels.
_RUN = 256


def dice_loss(logits: Logits, masks: ClassMasks, class_weights: Tensor | None = None) -> Float[Tensor, ""]:
    """Compute 1 minus the Dice coefficient of softmax probabilities, averaged over the classes that occur.

    Milletari et al., V-Net (3DV 2016), section 3, with sums of probabilities in the denominator instead of sums of
    squares. Each coefficient is computed over the whole batch. Classes without a pixel in the batch are left out; if
    every pixel is ignored, the loss is 0.

    Args:
        logits: Logits of one class per pixel.
        masks: Class of each pixel.
        class_weights: Weight of each class in the mean, shape [classes].
    """
    classes = logits.shape[1]
    probabilities = logits.softmax(1)
    counted = masks != IGNORED
    # Ignored pixels are assigned to an extra class after the last, which is left out.
    labels = masks.long().clamp(max=classes)
    hits = probabilities.gather(1, labels.clamp(max=classes - 1)[:, None]).flatten()
    labels = labels.flatten()
    runs = torch.arange(len(hits), device=hits.device) // _RUN
    sums = hits.new_zeros((-(-len(hits) // _RUN) or 1) * (classes + 1))
    sums = sums.index_add(0, runs * (classes + 1) + labels, hits)
    shared = sums.view(-1, classes + 1).sum(0)[:classes]
    actual = labels.new_zeros(classes + 1).index_add(0, labels, torch.ones_like(labels))[:classes]
    predicted = (probabilities * counted[:, None]).sum((0, 2, 3))
    return _mean_of_present(1 - 2 * shared / (predicted + actual).clamp(min=_LEAST), actual > 0, class_weights)


def binary_dice_loss(logits: Logits, masks: LayerMasks, class_weights: Tensor | None = None) -> Float[Tensor, ""]:
    """Compute the Dice loss of binary decisions with sigmoid probabilities, see :func:`dice_loss`.

    Args:
        logits: Logit of each class at each pixel.
        masks: Whether a pixel belongs to each class.
        class_weights: Weight of each class in the mean, shape [classes].
    """
    probabilities = logits.sigmoid() * (masks != IGNORED)
    targets = (masks == 1).to(logits.dtype)
    shared, predicted, actual = (x.sum((0, 2, 3)) for x in (probabilities * targets, probabilities, targets))
    return _mean_of_present(1 - 2 * shared / (predicted + actual).clamp(min=_LEAST), actual > 0, class_weights)


def _mean_of_present(losses: Tensor, present: Tensor, class_weights: Tensor | None) -> Tensor:
    weights = present.to(losses.dtype) if class_weights is None else present * class_weights.to(losses.dtype)
    return (losses * weights).sum() / weights.sum().clamp(min=_LEAST)
