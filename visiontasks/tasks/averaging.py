"""Predictions of pixels, averaged over mirrored and resized images."""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from visiontasks.errors import ArgumentError
from visiontasks.types import Images

Probabilities = Float[Tensor, "batch classes height width"]


def check_averaging(scales: Sequence[float]) -> None:
    """Check the scales of :func:`average_probabilities`.

    Raises:
        ArgumentError: If there is none, or one is not positive.
    """
    if not scales or not all(scale > 0 for scale in scales):
        message = f"scales is {list(scales)}; expected positive factors of the image's size, such as [0.75, 1, 1.25]."
        raise ArgumentError(message)


def average_probabilities(
    predict: Callable[[Images], Probabilities], images: Images, flip: bool = False, scales: Sequence[float] = (1.0,)
) -> Probabilities:
    """Predict images at several sizes, and mirrored, and average the probabilities.

    Args:
        predict: Computes the probabilities of images of any size, at their size.
        images: The images, shape [B, C, H, W].
        flip: Whether to add the image mirrored left to right.
        scales: Factors of its height and width.

    Returns:
        The mean, at the size of the images.
    """
    size = (images.shape[-2], images.shape[-1])
    found = [_to_size(predict(view), size, mirrored) for view, mirrored in _views(images, flip, scales)]
    return found[0] if len(found) == 1 else torch.stack(found).mean(0)


def _views(images: Images, flip: bool, scales: Sequence[float]) -> Iterator[tuple[Images, bool]]:
    for scale in scales:
        view = images if scale == 1 else _resize(images, scale)
        yield view, False
        if flip:
            yield view.flip(-1), True


def _resize(images: Images, scale: float) -> Float[Tensor, "batch channels _ _"]:
    pixels = images if images.is_floating_point() else images.float() / 255
    size = [max(1, round(side * scale)) for side in images.shape[-2:]]
    return F.interpolate(pixels, size, mode="bilinear", antialias=scale < 1).clamp(0, 1)


def _to_size(
    probabilities: Float[Tensor, "batch classes _ _"], size: tuple[int, int], mirrored: bool
) -> Float[Tensor, "batch classes _ _"]:
    if mirrored:
        probabilities = probabilities.flip(-1)
    same = (probabilities.shape[-2], probabilities.shape[-1]) == size
    return probabilities if same else F.interpolate(probabilities, size, mode="bilinear")
