"""Structural similarity of images."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from visiontasks.losses.pixels import mean_of_pixels

_SIDE, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def _gaussian() -> list[float]:
    weights = [math.exp(-0.5 * ((offset - _SIDE // 2) / _SIGMA) ** 2) for offset in range(_SIDE)]
    return [weight / sum(weights) for weight in weights]


_WEIGHTS = _gaussian()


def structural_similarity(
    images: Float[Tensor, "batch channels height width"],
    target: Float[Tensor, "batch channels height width"],
    sizes: Int64[Tensor, "batch 2"] | None = None,
) -> Float[Tensor, " batch"]:
    """Compute the similarity of two images in luminance, contrast and structure: 1 for equal images.

    Wang et al., Image quality assessment: from error visibility to structural similarity (TIP 2004), section III:
    means, variances and covariance in Gaussian windows of 11 x 11 pixels with a standard deviation of 1.5, K1 = 0.01,
    K2 = 0.03. As in torchmetrics, there is a window around every pixel, with images mirrored at their borders, and the
    result is the mean over all windows and channels.

    Args:
        images: Pixels in 0 to 1.
        target: Pixels in 0 to 1.
        sizes: Height and width of each image inside the padding, which windows exclude; None for no padding.

    Example:
        >>> image = torch.rand(1, 3, 32, 32)
        >>> round(structural_similarity(image, image).item(), 4), structural_similarity(image, 1 - image).item() < 0
        (1.0, True)
    """
    joined = torch.cat([images, target, images * images, target * target, images * target], 1)
    joined = _mirror(
        _mirror(joined, 2, None if sizes is None else sizes[:, 0]), 3, None if sizes is None else sizes[:, 1]
    )
    maps = _blur(joined).view(len(images), 5, *images.shape[1:]).unbind(1)
    one, other, squares, other_squares, products = maps
    variances = squares - one * one + other_squares - other * other
    covariance = products - one * other
    luminance = (2 * one * other + _C1) / (one * one + other * other + _C1)
    return mean_of_pixels(luminance * (2 * covariance + _C2) / (variances + _C2), sizes)


def _mirror(x: Tensor, axis: int, lengths: Tensor | None) -> Tensor:
    """Pad maps by reflection by half a window on both sides of an axis, repeatedly for maps smaller than that.

    Args:
        x: The maps, shape [B, C, H, W].
        axis: 2 or 3.
        lengths: Length of each image along the axis; None for the full length.
    """
    length, reach = x.shape[axis], _SIDE // 2
    places = torch.arange(-reach, length + reach, device=x.device)
    last = (torch.full((1,), length, device=x.device) if lengths is None else lengths).clamp(min=1)[:, None] - 1
    period = (2 * last).clamp(min=1)
    mirrored = last - (places % period - last).abs()
    if lengths is None:
        return x.index_select(axis, mirrored[0])
    shape = [len(x), 1, 1, 1]
    shape[axis] = len(places)
    size = list(x.shape)
    size[axis] = len(places)
    return x.gather(axis, mirrored.view(shape).expand(size))


def _blur(x: Tensor) -> Tensor:
    """Average over the window around each place, [B, C, H + 10, W + 10] to [B, C, H, W]."""
    if x.is_cuda:
        # Convolutions may compute with the 10 bits of TF32 there, of which differences of squares leave nothing.
        for axis in (2, 3):
            length = x.shape[axis] - _SIDE + 1
            total = _WEIGHTS[0] * x.narrow(axis, 0, length)
            for offset in range(1, _SIDE):
                total = total.add(x.narrow(axis, offset, length), alpha=_WEIGHTS[offset])
            x = total
        return x
    window = x.new_tensor(_WEIGHTS)
    # Every channel is an image of its own here: as groups of one convolution they are slow.
    flat = F.conv2d(F.conv2d(x.flatten(0, 1)[:, None], window[None, None, :, None]), window[None, None, None])
    return flat.view(*x.shape[:2], *flat.shape[2:])
