"""Predictions of an image and of its mirror images, averaged."""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from visiontasks.errors import ArgumentError, near_matches
from visiontasks.types import Images

Flips = Literal["none", "horizontal", "vertical", "both"]
_DIMENSIONS: dict[str, tuple[tuple[int, ...], ...]] = {
    "none": ((),),
    "horizontal": ((), (-1,)),
    "vertical": ((), (-2,)),
    "both": ((), (-1,), (-2,), (-2, -1)),
}


def flip_views(images: Images, flips: Flips) -> list[Images]:
    """Flip images: themselves first, then left to right, upside down, and both, as far as asked for.

    Args:
        images: Images, shape [B, C, H, W].
        flips: Which.

    Raises:
        ArgumentError: If it is unknown.
    """
    if flips not in _DIMENSIONS:
        message = f"test_time_flips is {flips!r}. {near_matches(flips, get_args(Flips))}"
        raise ArgumentError(message)
    return [images.flip(dimensions) if dimensions else images for dimensions in _DIMENSIONS[flips]]


def average_predictions(
    views: list[Float[Tensor, "*batch outputs"]], *, softmax: bool
) -> Float[Tensor, "*batch outputs"]:
    """Average the probabilities of several views, as logits.

    Args:
        views: Logits of each view.
        softmax: Whether the probabilities are their softmax over the last axis; otherwise each has its sigmoid.

    Returns:
        Logits whose softmax, or sigmoid, is the mean of the views'.

    Example:
        >>> views = [torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])]
        >>> average_predictions(views, softmax=True).softmax(1)
        tensor([[0.5749, 0.4251]])
        >>> sum(view.softmax(1) for view in views) / 2
        tensor([[0.5749, 0.4251]])
    """
    logits = torch.stack(views)
    if softmax:
        return logits.log_softmax(-1).logsumexp(0) - torch.tensor(float(len(views))).log()
    return F.logsigmoid(logits).logsumexp(0) - F.logsigmoid(-logits).logsumexp(0)
