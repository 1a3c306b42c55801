"""Soft targets: shares of classes, label smoothing and mixed labels."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor


def smooth(
    targets: Integer[Tensor, "batch *places"] | Float[Tensor, "batch classes *places"],
    num_classes: int,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
) -> Float[Tensor, "batch classes *places"]:
    """Convert classes to shares of classes, and apply label smoothing (Szegedy et al. 2016, section 7).

    Args:
        targets: Class of each position, or shares of the classes.
        num_classes: Number of classes.
        label_smoothing: Share that is spread evenly over all classes, 0 to 1.
        ignore_index: Class of positions whose shares are all 0.

    Example:
        >>> smooth(torch.tensor([1, -100]), 2, label_smoothing=0.2)
        tensor([[0.1000, 0.9000],
                [0.0000, 0.0000]])
    """
    if targets.is_floating_point():
        return targets * (1 - label_smoothing) + label_smoothing / num_classes
    counted = targets != ignore_index
    shares = F.one_hot(targets.long().where(counted, 0), num_classes).movedim(-1, 1).to(torch.get_default_dtype())
    return (shares * (1 - label_smoothing) + label_smoothing / num_classes) * counted[:, None]


def smooth_decisions(
    targets: Integer[Tensor, "*places"] | Float[Tensor, "*places"], label_smoothing: float = 0.0
) -> Float[Tensor, "*places"]:
    """Apply label smoothing to binary targets.

    Args:
        targets: 1 for positive, 0 for negative, or a share in between.
        label_smoothing: A target of 1 becomes ``1 - label_smoothing / 2``, a target of 0 ``label_smoothing / 2``.
    """
    shares = targets if targets.is_floating_point() else targets.to(torch.get_default_dtype())
    return shares * (1 - label_smoothing) + label_smoothing / 2
