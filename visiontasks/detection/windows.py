"""Sliding-window proposals, which are the same for every image."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from visiontasks.detection.anchors import Anchors
from visiontasks.detection.boxes import clip_to, is_box


def sliding_windows(sizes: Int64[Tensor, "batch 2"], size: tuple[int, int]) -> Float[Tensor, "batch windows 4"]:
    """Create windows of three shapes, whose sides double from 32 pixels until they are as large as the image.

    A square overlaps the next one by three quarters of its side.
    This is the dense baseline for proposals, as in Viola and Jones (2001) and Dalal and Triggs (2005).

    Args:
        sizes: Height and width of each image.
        size: Height and width of the batch.

    Returns:
        Windows, clipped to the images; those outside are padding.

    Example:
        >>> sliding_windows(torch.tensor([[64, 64]]), (64, 64)).shape
        torch.Size([1, 240, 4])
    """
    levels: list[Tensor] = []
    side = 32
    while not levels or side <= max(size):
        stride = side // 4
        anchors = Anchors((stride,), (side / stride,)).to(sizes.device, non_blocking=True)
        # An empty tensor of the shape of a feature map with this stride.
        shape = (1, 0, -(-size[0] // stride), -(-size[1] // stride))
        levels.append(anchors([torch.empty(shape, device=sizes.device)]))
        side *= 2
    windows = clip_to(torch.cat(levels).expand(len(sizes), -1, -1), sizes)
    return torch.where(is_box(windows)[..., None], windows, 0.0)
