"""Targets as shares: one class, several, or a mixture of two images'."""

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
    """Turn classes into shares of classes, and spread a part of them (Szegedy et al. 2016, section 7).

    Args:
        targets: Class of each place, or shares.
        num_classes: Number of classes.
        label_smoothing: Share that is spread evenly over all classes, 0 to 1.
        ignore_index: Class of places whose shares are all 0.

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
    """Turn answers of 1 and 0 into shares, and bring them nearer to each other.

    Args:
        targets: 1 for yes and 0 for no, or a share in between.
        label_smoothing: A target of 1 becomes ``1 - label_smoothing / 2``, one of 0 ``label_smoothing / 2``.
    """
    shares = targets if targets.is_floating_point() else targets.to(torch.get_default_dtype())
    return shares * (1 - label_smoothing) + label_smoothing / 2
