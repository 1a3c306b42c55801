"""Image pixels as targets, and means over pixels."""

import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from visiontasks.types import Images

PixelBatch = Float[Tensor, "batch channels height width"]
Sizes = Int64[Tensor, "batch 2"]


def mean_of_pixels(values: PixelBatch, sizes: Sizes | None = None) -> Float[Tensor, " batch"]:
    """Compute the mean over the pixels of each image.

    Args:
        values: A value for each channel of each pixel.
        sizes: Height and width of each image inside the padding; None for no padding.

    Example:
        >>> mean_of_pixels(torch.tensor([[[[1.0, 5.0], [9.0, 9.0]]]]), torch.tensor([[1, 2]]))
        tensor([3.])
    """
    if sizes is None:
        return values.flatten(1).mean(1)
    inside = inside_of(sizes, (values.shape[-2], values.shape[-1]))
    pixels = sizes.prod(1).clamp(min=1) * values.shape[1]
    return (values * inside).flatten(1).sum(1) / pixels


def inside_of(sizes: Sizes, size: tuple[int, int]) -> Bool[Tensor, "batch 1 height width"]:
    """Return a mask of the pixels of a batch that are not padding.

    Args:
        sizes: Height and width of each image.
        size: Height and width of the batch.
    """
    rows = torch.arange(size[0], device=sizes.device) < sizes[:, :1]
    columns = torch.arange(size[1], device=sizes.device) < sizes[:, 1:]
    return (rows[:, :, None] & columns[:, None])[:, None]


def pixels_of(images: Images) -> Float32[Tensor, "batch channels height width"]:
    """Convert images, uint8 in 0 to 255 or float in 0 to 1, to float32 in 0 to 1."""
    return images.float() if images.is_floating_point() else images.float() / 255
