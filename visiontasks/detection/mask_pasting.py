"""From grids of probabilities over boxes to the masks of an image, one after the other."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

Pasted = tuple[tuple[int, int, int, int], UInt8[np.ndarray, "rows columns"]]
"""A window of an image, xyxy in pixels, and the zeros and ones of a mask in it; outside of it are zeros."""


def paste_masks(
    probabilities: Float[Tensor, "masks rows columns"],
    boxes: Float[Tensor, "masks 4"],
    size: tuple[int, int],
    threshold: float = 0.5,
) -> Iterator[Pasted]:
    """Paste grids of probabilities over boxes into an image, in its pixels.

    He et al., Mask R-CNN (ICCV 2017), section 3.1: the grid is resized to the box and binarised. As in torchvision's
    ``paste_masks_in_image``, it is bordered by cells of 0 before, and the box that is as much larger is cut to whole
    pixels; at equal thresholds the pixels are equal. Each mask is made when it is asked for, in the window that its box
    covers, so that memory does not grow with their number.

    Args:
        probabilities: Probability that a place of the box belongs to the object, on a grid over the box.
        boxes: The boxes, xyxy in pixels of the image.
        size: Height and width of the image.
        threshold: Minimum probability of a pixel of the mask.

    Yields:
        The window of each mask and its pixels, in order of the boxes; an empty window for a box outside of the image.

    Example:
        >>> [(window, mask)] = paste_masks(torch.ones(1, 4, 4), torch.tensor([[2.0, 2, 6, 6]]), (8, 8))
        >>> window, int(mask.sum())
        ((1, 1, 8, 8), 25)
    """
    height, width = size
    padded = F.pad(probabilities.float().cpu(), (1, 1, 1, 1))
    rows, columns = probabilities.shape[1:]
    larger = torch.tensor([(columns + 2) / columns, (rows + 2) / rows])
    boxes = boxes.float().cpu()
    # Half sides and centres as torchvision computes them, because the corners are cut off next.
    half, middle = (boxes[:, 2:] - boxes[:, :2]) * 0.5 * larger, (boxes[:, 2:] + boxes[:, :2]) * 0.5
    corners = torch.cat([middle - half, middle + half], 1).long().tolist()
    for grid, (x1, y1, x2, y2) in zip(padded, corners, strict=True):
        left, top = min(max(x1, 0), width), min(max(y1, 0), height)
        right, bottom = max(min(x2 + 1, width), left), max(min(y2 + 1, height), top)
        sides = (max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1))
        resized = F.interpolate(grid[None, None], sides, mode="bilinear", align_corners=False)[0, 0]
        inside = resized[top - y1 : bottom - y1, left - x1 : right - x1] >= threshold
        yield (left, top, right, bottom), inside.numpy().view(np.uint8)


def pasted_masks(predictions: Any, batch: Any, score: float = 0.0) -> Iterator[Iterator[Pasted]]:  # noqa: ANN401 (see Args)
    """Paste the masks of each image of a batch into the image that the true masks are drawn in.

    Args:
        predictions: What was predicted, with the fields of :class:`~visiontasks.types.InstancePredictions`.
        batch: The images, with the fields of :class:`~visiontasks.types.InstanceBatch`.
        score: Minimum score of a detection.

    Yields:
        The masks of each image, in order of the detections without padding.
    """
    real = ((predictions.labels >= 0) & (predictions.scores >= score)).cpu()
    sizes = batch.mask_sizes.cpu()
    factors = (sizes.double() / batch.sizes.cpu()).flip(1).repeat(1, 2)
    for image, (height, width) in enumerate(sizes.tolist()):
        boxes = predictions.boxes[image].cpu()[real[image]] * factors[image]
        yield paste_masks(predictions.masks[image].cpu()[real[image]], boxes, (height, width))
