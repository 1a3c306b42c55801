"""Segmentation losses by name, and weighted sums of them."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from visiontasks.errors import check_range
from visiontasks.losses.classification import Mode
from visiontasks.losses.cross_entropy import (
    ClassMasks,
    LayerMasks,
    Logits,
    pixel_binary_cross_entropy,
    pixel_binary_focal,
    pixel_cross_entropy,
    pixel_focal,
)
from visiontasks.losses.dice import binary_dice_loss, dice_loss
from visiontasks.losses.factors import own_loss, parse_factors
from visiontasks.losses.lovasz import binary_lovasz, lovasz_softmax
from visiontasks.types import IGNORED

LossName = Literal["cross_entropy", "focal", "dice", "lovasz"]

_Loss = Callable[..., Tensor]
_LOSSES: dict[str, tuple[_Loss, _Loss]] = {
    "cross_entropy": (pixel_cross_entropy, pixel_binary_cross_entropy),
    "focal": (pixel_focal, pixel_binary_focal),
    "dice": (dice_loss, binary_dice_loss),
    "lovasz": (lovasz_softmax, binary_lovasz),
}


class SegmentationLoss:
    """A weighted sum of pixel losses.

    Args:
        loss: Name of a loss (``"cross_entropy"``, ``"focal"``, ``"dice"``, ``"lovasz"``), or a factor for each of
            several, such as ``{"cross_entropy": 1.0, "lovasz": 0.5}``. A name with a dot is the import path of a
            function or module of your own, called with logits, masks and, if there are any, class weights.
        mode: ``"multiclass"``: one of several classes per pixel, by softmax. ``"binary"``: foreground or not, one logit
            and a sigmoid. ``"multilabel"``: any number of classes per pixel, by sigmoids.
        label_smoothing: Share of the target of the cross-entropy that is spread over all classes, 0 to 1.

    Raises:
        ArgumentError: If a loss is unknown or a factor is not positive.

    Example:
        >>> import torch
        >>> loss = SegmentationLoss({"cross_entropy": 1.0, "dice": 1.0})
        >>> sorted(loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.uint8)))
        ['cross_entropy', 'dice']
    """

    def __init__(
        self, loss: LossName | str | Mapping[str, float], mode: Mode = "multiclass", label_smoothing: float = 0.0
    ) -> None:
        self.factors = parse_factors(loss, _LOSSES)
        self.own = {name: own_loss(name) for name in self.factors if "." in name}
        self.mode = mode
        self.label_smoothing = label_smoothing
        check_range(0, 1, label_smoothing=label_smoothing)

    def __call__(
        self, logits: Logits, masks: ClassMasks | LayerMasks, class_weights: Tensor | None = None
    ) -> dict[str, Float[Tensor, ""]]:
        """Compute the terms of the loss, each multiplied by its factor; NaN if a label is out of range.

        Args:
            logits: Logits of each pixel.
            masks: Class of each pixel; multilabel: whether it belongs to each class.
            class_weights: Weight of each class, shape [classes]; binary: of background and foreground, in the
                cross-entropy and the focal loss.
        """
        masks, defect = _without_wrong_labels(masks, logits.shape[1] if self.mode == "multiclass" else 2)
        binary = self.mode == "binary"
        if binary:
            masks = masks[:, None]
            class_weights = None if class_weights is None else class_weights[None]
        terms = {}
        for name, factor in self.factors.items():
            if name in self.own:
                given = () if class_weights is None else (class_weights,)
                terms[name] = factor * self.own[name](logits, masks, *given) + defect
                continue
            loss = _LOSSES[name][0 if self.mode == "multiclass" else 1]
            # With one class there is no mean over classes to weight.
            weights = None if binary and name in ("dice", "lovasz") else class_weights
            smoothing = {"label_smoothing": self.label_smoothing} if name == "cross_entropy" else {}
            terms[name] = factor * loss(logits, masks, weights, **smoothing) + defect
        return terms


def _without_wrong_labels(masks: Tensor, values: int) -> tuple[Tensor, Tensor]:
    """Ignore labels that are not a class; also return a term for the loss: NaN if there are any, else 0.

    A wrong label in torch's cross-entropy kills the process on CUDA, and checking for one would synchronise.
    """
    wrong = (masks >= values) & (masks != IGNORED)
    return masks.masked_fill(wrong, IGNORED), torch.where(wrong.any(), torch.nan, 0.0)
