"""Test-time augmentation: predictions averaged over mirrored, shifted and resized images."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from visiontasks.errors import ArgumentError, check_choice
from visiontasks.options import Flips as Flips
from visiontasks.types import Images

Probabilities = Float[Tensor, "batch classes height width"]

AXES: dict[str, tuple[tuple[int, ...], ...]] = {
    "none": ((),),
    "horizontal": ((), (-1,)),
    "vertical": ((), (-2,)),
    "both": ((), (-1,), (-2,), (-2, -1)),
}
"""Axes along which each view of an image is flipped."""


def check_averaging(flips: str, scales: Sequence[float] = (1.0,), shift: int = 0) -> None:
    """Check the flips, scales and shift that predictions are averaged over.

    Raises:
        ArgumentError: If the flips are unknown, there is no scale, a scale is not positive, or the shift is negative.
    """
    check_choice("flips", flips, AXES)
    if not scales or not all(scale > 0 for scale in scales):
        message = f"scales is {list(scales)}; expected positive factors of the image's size, such as [0.75, 1, 1.25]."
        raise ArgumentError(message)
    if shift < 0:
        message = f"shift is {shift}; expected pixels, such as 1, or 0 for none."
        raise ArgumentError(message)


def views_of(images: Images, flips: Flips, shift: int) -> list[Images]:
    """Return the images, their requested mirror images, and each of them shifted in the eight directions.

    A shifted image repeats its pixels at the edge.

    Args:
        images: Images, shape [B, C, H, W].
        flips: Which mirror images to add, in the order unchanged, horizontal, vertical, both.
        shift: Pixels of the shift; 0 for none.
    """
    steps = (0, shift, -shift) if shift else (0,)
    mirrored = [flip(images, axes) for axes in AXES[flips]]
    return [_shift(view, down, right) for view in mirrored for down in steps for right in steps]


def average_logits(views: list[Float[Tensor, "*batch outputs"]], *, softmax: bool) -> Float[Tensor, "*batch outputs"]:
    """Average the probabilities of several views, and return them as logits.

    Args:
        views: Logits of each view.
        softmax: Whether probabilities are the softmax of the logits over the last axis; otherwise their sigmoid.

    Returns:
        Logits whose softmax or sigmoid is the mean probability of the views.

    Example:
        >>> views = [torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])]
        >>> average_logits(views, softmax=True).softmax(1)
        tensor([[0.5749, 0.4251]])
        >>> sum(view.softmax(1) for view in views) / 2
        tensor([[0.5749, 0.4251]])
    """
    logits = torch.stack(views)
    if softmax:
        return logits.log_softmax(-1).logsumexp(0) - torch.tensor(float(len(views))).log()
    return F.logsigmoid(logits).logsumexp(0) - F.logsigmoid(-logits).logsumexp(0)


def average_probabilities(
    predict: Callable[[Images], Probabilities],
    images: Images,
    flips: Flips = "none",
    scales: Sequence[float] = (1.0,),
) -> Probabilities:
    """Predict the pixels of resized and mirrored images, and average the probabilities.

    Args:
        predict: Function from images of any size to probabilities of the same size.
        images: The images, shape [B, C, H, W].
        flips: Mirror images to add.
        scales: Scale factors of the height and width.

    Returns:
        The mean probabilities, at the size of the images.
    """
    size = images.shape[-2:]
    maps: list[Tensor] = []
    for scale in scales:
        resized = images if scale == 1 else resize(images, scale)
        for axes in AXES[flips]:
            probabilities = flip(predict(flip(resized, axes)), axes)
            same = probabilities.shape[-2:] == size
            maps.append(probabilities if same else F.interpolate(probabilities, size, mode="bilinear"))
    return maps[0] if len(maps) == 1 else torch.stack(maps).mean(0)


def flip(images: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Mirror images along axes."""
    return images.flip(axes) if axes else images


def _shift(images: Tensor, down: int, right: int) -> Tensor:
    for axis, step in ((-2, down), (-1, right)):
        if step:
            size = images.shape[axis]
            source = torch.arange(size, device=images.device).sub(step).clamp(0, size - 1)
            images = images.index_select(axis, source)
    return images


def resize(images: Images, scale: float) -> Float[Tensor, "batch channels _ _"]:
    """Resize images by a factor of height and width; their values become 0 to 1."""
    pixels = images if images.is_floating_point() else images.float() / 255
    size = [max(1, round(side * scale)) for side in images.shape[-2:]]
    return F.interpolate(pixels, size, mode="bilinear", antialias=scale < 1).clamp(0, 1)
