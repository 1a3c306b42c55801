"""Masks that a network of masks is to predict: those of the objects, cut out to their regions.

The masks of a batch are bits in windows, see :mod:`visiontasks.instance_masks`. They become pixels for a few objects at
a time, at most :data:`PIXELS` of them, so that memory does not grow with the number of objects: about 30 bytes per
pixel, 250 MB, where a tensor of all masks takes 64 MB in uint8 and 256 MB in float32 for 60 objects in an image of
800 x 1333. All shapes follow from those of the batch: nothing waits for a GPU.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torchvision.ops import roi_align

from visiontasks.instance_masks import unpack_masks

PIXELS = 2**23
"""Number of pixels of masks that exist at a time, at most, or those of one mask."""

_OUTSIDE = -1e6


def crop_masks(
    bits: UInt8[Tensor, "batch bytes"],
    windows: Int64[Tensor, "batch objects 4"],
    sizes: Int64[Tensor, "batch 2"],
    boxes: Float[Tensor, "batch regions 4"],
    objects: Int64[Tensor, "batch regions"],
    limits: tuple[int, int],
    side: int = 28,
) -> Float[Tensor, "batch regions side side"]:
    """Read the masks of objects in regions, as torchvision's ``project_masks_on_boxes`` does.

    That is RoIAlign of a mask, with a sampling point for each of its pixels: values between 0 and 1 at its border.

    Args:
        bits: Masks of the objects of each image, see :func:`~visiontasks.instance_masks.pack_masks`.
        windows: Window of each mask; zeros for an empty one.
        sizes: Height and width of the image that the masks of each image are drawn in.
        boxes: The regions, xyxy in pixels of that image.
        objects: Index in its image of the object of each region.
        limits: Height and width that none of the images exceeds.
        side: Rows and columns of the masks.
    """
    batch, count = windows.shape[:2]
    starts = _first_bytes(windows)
    pairs = (torch.arange(batch, device=windows.device)[:, None] * count + objects).flatten()
    regions = boxes.flatten(0, 1)
    total = regions.new_zeros(len(regions), 1, side, side)
    at_once = max(1, PIXELS // (limits[0] * limits[1]))
    for first in range(0, batch * count, at_once):
        chosen = torch.arange(first, min(first + at_once, batch * count), device=windows.device)
        images = chosen // count
        draw = draw_one_by_one if windows.device.type == "cpu" else draw_at_once
        masks = draw(bits[images], windows.flatten(0, 1)[chosen], starts.flatten()[chosen], sizes[images], limits)
        # Regions of other objects are moved outside, where they read zeros at no cost.
        inside = (pairs >= first) & (pairs < first + len(chosen))
        moved = torch.where(inside[:, None], regions, _OUTSIDE)
        places = torch.where(inside, pairs - first, 0)[:, None].to(regions.dtype)
        total += roi_align(masks[:, None].to(regions.dtype), torch.cat([places, moved], 1), side)
    cut: Tensor = total[:, 0].unflatten(0, boxes.shape[:2])
    return cut


def _first_bytes(windows: Int64[Tensor, "batch objects 4"]) -> Int64[Tensor, "batch objects"]:
    """Return the place of the first byte of each mask in the bits of its image."""
    sides = windows[..., 2:] - windows[..., :2]
    lengths = (sides[..., 0] * sides[..., 1] + 7) // 8
    return lengths.cumsum(1) - lengths


def draw_at_once(
    bits: UInt8[Tensor, "masks bytes"],
    windows: Int64[Tensor, "masks 4"],
    starts: Int64[Tensor, " masks"],
    sizes: Int64[Tensor, "masks 2"],
    limits: tuple[int, int],
) -> UInt8[Tensor, "masks height width"]:
    """Draw masks from their bits without waiting for the device.

    Args:
        bits: Bits of the masks of the image of each.
        windows: The window of each.
        starts: Place of its first byte.
        sizes: Height and width of its image; the last row and column go on beyond it.
        limits: Height and width to draw.
    """
    # In 32 bits, which halves the memory of the places.
    left, top, right, bottom = (side[:, None, None] for side in windows.int().unbind(1))
    height, width = (side[:, None, None] - 1 for side in sizes.int().unbind(1))
    rows, columns = (torch.arange(limit, dtype=torch.int32, device=bits.device) for limit in limits)
    y, x = torch.minimum(rows[:, None], height), torch.minimum(columns, width)
    inside = (y >= top) & (y < bottom) & (x >= left) & (x < right)
    place = torch.where(inside, (y - top) * (right - left) + (x - left), 0)
    byte = starts.int()[:, None, None] + place // 8
    each = torch.arange(len(bits), device=bits.device)[:, None, None]
    # A byte more, for images without masks.
    return (F.pad(bits, (0, 1))[each, byte] >> (7 - place % 8).to(torch.uint8)) & inside


def draw_one_by_one(
    bits: UInt8[Tensor, "masks bytes"],
    windows: Int64[Tensor, "masks 4"],
    starts: Int64[Tensor, " masks"],
    sizes: Int64[Tensor, "masks 2"],
    limits: tuple[int, int],
) -> UInt8[Tensor, "masks height width"]:
    """Draw masks from their bits on the CPU, where only the pixels of windows take time; see :func:`draw_at_once`."""
    drawn = torch.zeros(len(bits), *limits, dtype=torch.uint8)
    numbers = zip(windows.numpy(), starts.tolist(), sizes.tolist(), strict=True)
    for mask, own, (window, start, (height, width)) in zip(drawn, bits.numpy(), numbers, strict=True):
        left, top, right, bottom = window.tolist()
        (pixels,) = unpack_masks(own[start:], window[None])
        mask[top:bottom, left:right] = torch.from_numpy(pixels)
        mask[height:] = mask[height - 1]
        mask[:, width:] = mask[:, width - 1 : width]
    return drawn
