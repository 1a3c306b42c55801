"""Focal loss: cross-entropy that down-weights predictions that are already correct."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor

from visiontasks.losses.targets import smooth, smooth_decisions


def focal_loss(
    logits: Float[Tensor, "batch classes *places"],
    targets: Integer[Tensor, "batch *places"] | Float[Tensor, "batch classes *places"],
    gamma: float = 2.0,
    class_weights: Float[Tensor, " classes"] | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
) -> Float[Tensor, "batch *places"]:
    """Compute the focal loss for one class per image or pixel, without averaging.

    Lin et al., Focal loss for dense object detection (ICCV 2017), equation 5, for the softmax probability p of the true
    class: ``-weight * (1 - p) ** gamma * log(p)``. For targets that are shares of classes, it is the mean over the
    classes, weighted by their shares. With gamma 0 it equals the cross-entropy.

    Args:
        logits: Logits, shape [B, classes, ...].
        targets: Class of each position, or shares of the classes that sum to 1.
        gamma: Strength of down-weighting predictions that are already correct, at least 0.
        class_weights: Weight of each class, the paper's alpha; equal by default.
        label_smoothing: Share of the target that is spread over all classes, 0 to 1.
        ignore_index: Class of positions whose loss is 0.

    Returns:
        The loss of each position, shape [B, ...].

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
        >>> focal_loss(logits, torch.tensor([0, 0]), gamma=0).tolist()
        [0.126..., 2.126...]
        >>> focal_loss(logits, torch.tensor([0, 0]), gamma=2).tolist()
        [0.001..., 1.650...]
    """
    if class_weights is not None:
        class_weights = class_weights.to(logits.dtype)
    if not gamma:
        return F.cross_entropy(
            logits,
            targets if targets.is_floating_point() else targets.long(),
            class_weights,
            reduction="none",
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
        )
    if targets.is_floating_point() or label_smoothing:
        terms = -_focused(logits.log_softmax(1), gamma)
        if class_weights is not None:
            terms = terms * class_weights.reshape(-1, *[1] * (logits.ndim - 2))
        shares = smooth(targets, logits.shape[1], label_smoothing, ignore_index)
        return (shares.to(terms.dtype) * terms).sum(1)
    targets = targets.long()
    surprise = F.cross_entropy(logits, targets, reduction="none", ignore_index=ignore_index)
    loss = -_focused(-surprise, gamma)
    return loss if class_weights is None else loss * class_weights[targets.where(targets != ignore_index, 0)]


def binary_focal_loss(
    logits: Float[Tensor, "*places"],
    targets: Integer[Tensor, "*places"] | Float[Tensor, "*places"],
    gamma: float = 2.0,
    weights: tuple[float | Tensor, float | Tensor] = (1.0, 1.0),
    label_smoothing: float = 0.0,
) -> Float[Tensor, "*places"]:
    """Compute the focal loss of binary decisions, without averaging.

    This is the two-class case of :func:`focal_loss`, with the sigmoid instead of the softmax, as in the paper. With
    gamma 0 it equals the binary cross-entropy.

    Args:
        logits: Logits of the positive class.
        targets: 1 for positive, 0 for negative, or a share in between.
        gamma: Strength of down-weighting predictions that are already correct, at least 0.
        weights: Weights of the negative and the positive class (the paper's 1 - alpha and alpha); anything that
            broadcasts to the logits.
        label_smoothing: A target of 1 becomes ``1 - label_smoothing / 2``, a target of 0 ``label_smoothing / 2``.

    Returns:
        The loss of each decision, with the shape of the logits.

    Example:
        >>> binary_focal_loss(torch.tensor([0.0, 3.0]), torch.tensor([1, 1])).tolist()
        [0.173..., 0.0001...]
    """
    shares = smooth_decisions(targets, label_smoothing).to(logits.dtype)
    yes, no = F.logsigmoid(logits), F.logsigmoid(-logits)
    if gamma:
        # (1 - p) ** gamma is computed from its logarithm, since log(1 - p) is the log probability of the other class.
        yes, no = (gamma * no).exp() * yes, (gamma * yes).exp() * no
    return -(weights[1] * shares * yes + weights[0] * (1 - shares) * no)


def _focused(log_p: Tensor, gamma: float) -> Tensor:
    # The power has no finite derivative at 0 for gamma below 1.
    return (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).eps) ** gamma * log_p
