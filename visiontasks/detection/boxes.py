"""Arithmetic on boxes."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def is_box(boxes: Float[Tensor, "*batch boxes 4"]) -> Bool[Tensor, "*batch boxes"]:
    """Return whether each box is a box rather than padding, that is, has a positive area."""
    return (boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])


def areas(boxes: Float[Tensor, "*batch boxes 4"]) -> Float[Tensor, "*batch boxes"]:
    """Compute the areas of boxes in square pixels."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def intersections(
    boxes: Float[Tensor, "*batch boxes 4"], others: Float[Tensor, "*batch2 others 4"]
) -> Float[Tensor, "*batch3 boxes others"]:
    """Compute the intersection area of each box with each of the others; leading axes broadcast."""
    x1, y1, x2, y2 = boxes[..., :, None, :].unbind(-1)
    left, top, right, bottom = others[..., None, :, :].unbind(-1)
    width = (torch.minimum(x2, right) - torch.maximum(x1, left)).clamp_(min=0)
    height = (torch.minimum(y2, bottom) - torch.maximum(y1, top)).clamp_(min=0)
    return width.mul_(height)


def box_iou(
    boxes: Float[Tensor, "*batch boxes 4"], others: Float[Tensor, "*batch2 others 4"]
) -> Float[Tensor, "*batch3 boxes others"]:
    """Compute the intersection over union of each box with each of the others; leading axes broadcast.

    Like :func:`torchvision.ops.box_iou`, for many images at once; the IoU of padding is 0.

    Example:
        >>> box_iou(torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[5.0, 0, 15, 10], [0, 0, 0, 0]]))
        tensor([[0.3333, 0.0000]])
    """
    return iou_of(intersections(boxes, others), boxes, others)


def iou_of(
    shared: Float[Tensor, "*batch3 boxes others"],
    boxes: Float[Tensor, "*batch boxes 4"],
    others: Float[Tensor, "*batch2 others 4"],
) -> Float[Tensor, "*batch3 boxes others"]:
    """Compute the intersection over union from the intersection areas, whose memory it takes.

    Args:
        shared: What :func:`intersections` returns of the boxes and the others; overwritten.
        boxes: The boxes.
        others: The others.
    """
    union = areas(boxes)[..., :, None] + areas(others)[..., None, :] - shared
    return shared.div_(union.clamp_(min=torch.finfo(union.dtype).tiny))


def clip_to(boxes: Float[Tensor, "batch boxes 4"], sizes: Int64[Tensor, "batch 2"]) -> Float[Tensor, "batch boxes 4"]:
    """Clip boxes to their images.

    Args:
        boxes: The boxes.
        sizes: Height and width of each image.

    Returns:
        The clipped boxes; those outside the image have area 0.
    """
    limits = sizes.flip(-1).repeat(1, 2)[:, None].to(boxes.dtype)
    return torch.minimum(boxes.clamp(min=0), limits)


def take(
    values: Float[Tensor, "batch boxes _"], indices: Int64[Tensor, "batch taken"]
) -> Float[Tensor, "batch taken _"]:
    """Select rows of each image by their indices."""
    return values.gather(1, indices[..., None].expand(-1, -1, values.shape[-1]))
