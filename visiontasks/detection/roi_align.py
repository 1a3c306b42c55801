"""RoIAlign: features of regions on a grid of fixed size."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor
from torchvision.ops import roi_align as torchvision_roi_align

from visiontasks.backbones.backbone import Features
from visiontasks.detection.operators import operators_are_kept

SAMPLES = 2
"""Sampling points along each side of a cell, over which features are averaged."""

ADAPTIVE = 0
"""Instead of them: as many as a cell has pixels."""

_OUTSIDE = -1e6


def assign_levels(boxes: Float[Tensor, "regions 4"], strides: Sequence[int]) -> Int64[Tensor, " regions"]:
    """Choose the map that a region is read from by its size: 224 pixels from stride 16, 112 from stride 8.

    Lin et al., Feature pyramid networks (CVPR 2017), equation 1.

    Args:
        boxes: The regions.
        strides: Strides of the maps, fine to coarse.

    Returns:
        Position of the map for each region: the coarsest whose stride is at most that for its size, else the finest.

    Example:
        >>> assign_levels(torch.tensor([[0.0, 0, 224, 224], [0, 0, 112, 112], [0, 0, 9, 9]]), (4, 8, 16, 32))
        tensor([2, 1, 0])
    """
    sides = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
    # The small number is torchvision's: regions of exactly a threshold size belong to the coarser map.
    asked = torch.floor(4 + torch.log2(sides / 224) + 1e-6)
    levels = torch.zeros_like(asked, dtype=torch.int64)
    for stride in strides[1:]:
        # Python numbers, because copying a tensor to a GPU would synchronise.
        levels += asked >= stride.bit_length() - 1
    return levels


def roi_align(
    features: Features,
    strides: Sequence[int],
    boxes: Float[Tensor, "regions 4"],
    images: Int64[Tensor, " regions"],
    size: tuple[int, int] = (7, 7),
    *,
    aligned: bool = False,
) -> Float[Tensor, "regions rows columns channels"]:
    """Read the features of regions from the maps that fit their sizes.

    He et al., Mask R-CNN (ICCV 2017), section 3. The channels come last.

    Args:
        features: Maps with equal numbers of channels, fine to coarse.
        strides: Their strides.
        boxes: The regions in pixels, xyxy.
        images: Index in the batch of the image of each region.
        size: Rows and columns of the grid.
        aligned: Whether a pixel of a map lies at its centre, and a cell has a sampling point for each pixel of the map,
            as in Detectron2 and MMDetection; otherwise it lies at its corner, and a cell has 2 x 2 points, as in
            torchvision's detectors.
    """
    levels = assign_levels(boxes, strides)
    if operators_are_kept():
        cells: Tensor = _operator(list(features), list(strides), boxes, images, levels, list(size), aligned)
        return cells.permute(0, 2, 3, 1)
    if aligned or boxes.device.type != "cpu" or torch.compiler.is_exporting():
        return align_by_torchvision(features, strides, boxes, images, levels, size, aligned)
    return align_by_rows(features, strides, boxes, images, levels, size)


@torch.library.custom_op("visiontasks::align", mutates_args=())
def _operator(
    features: list[Tensor],
    strides: list[int],
    boxes: Tensor,
    images: Tensor,
    levels: Tensor,
    size: list[int],
    aligned: bool,
) -> Tensor:
    rows, columns = size
    cells = align_by_torchvision(features, strides, boxes, images, levels, (rows, columns), aligned)
    return cells.permute(0, 3, 1, 2).contiguous()


@_operator.register_fake
def _(
    features: list[Tensor],
    strides: list[int],
    boxes: Tensor,
    images: Tensor,
    levels: Tensor,
    size: list[int],
    aligned: bool,
) -> Tensor:
    return features[0].new_empty(boxes.shape[0], features[0].shape[1], *size)


def align_by_rows(
    features: Features,
    strides: Sequence[int],
    boxes: Float[Tensor, "regions 4"],
    images: Int64[Tensor, " regions"],
    levels: Int64[Tensor, " regions"],
    size: tuple[int, int],
) -> Float[Tensor, "regions rows columns channels"]:
    """Read all regions as weighted sums of rows of one table, in which a row holds the channels of one position.

    In channels-last memory the table costs no more than a copy of the maps, and each row is contiguous.
    """
    channels = features[0].shape[1]
    table = torch.cat([feature.permute(0, 2, 3, 1).reshape(-1, channels) for feature in features])
    with torch.no_grad():
        indices, weights = _rows(features, strides, boxes, images, levels, size)
    cells = F.embedding_bag(indices, table, mode="sum", per_sample_weights=weights.to(table.dtype))
    return cells.view(len(boxes), *size, channels)


def _rows(
    features: Features,
    strides: Sequence[int],
    boxes: Float[Tensor, "regions 4"],
    images: Int64[Tensor, " regions"],
    levels: Int64[Tensor, " regions"],
    size: tuple[int, int],
) -> tuple[Int64[Tensor, "cells points"], Float[Tensor, "cells points"]]:
    """Compute the rows of the table that each cell reads, four around each of its points, and their weights."""
    shapes = [tuple(feature.shape[-2:]) for feature in features]
    rows = torch.tensor([len(features[0]) * height * width for height, width in shapes])
    starts = (rows.cumsum(0) - rows)[levels]
    heights, widths = torch.tensor(shapes)[levels].unbind(1)
    corners = boxes / torch.tensor(strides, dtype=boxes.dtype)[levels, None]
    low_y, high_y, weights_y = _points(corners[:, 1], corners[:, 3], heights, size[0])
    low_x, high_x, weights_x = _points(corners[:, 0], corners[:, 2], widths, size[1])
    first = starts + images * heights * widths
    y = torch.stack([low_y, high_y], -1) * widths[:, None, None, None] + first[:, None, None, None]
    x = torch.stack([low_x, high_x], -1)
    # Axes: regions, rows, columns, points down, points across, upper or lower, left or right.
    indices = y[:, :, None, :, None, :, None] + x[:, None, :, None, :, None, :]
    weights = weights_y[:, :, None, :, None, :, None] * weights_x[:, None, :, None, :, None, :]
    shape = (-1, 4 * SAMPLES**2)
    return indices.reshape(shape), weights.reshape(shape) / SAMPLES**2


def _points(
    start: Float[Tensor, " regions"], end: Float[Tensor, " regions"], sides: Int64[Tensor, " regions"], cells: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the pixels around the points of each cell along one axis, [regions, cells, points], and their weights."""
    length = (end - start).clamp(min=1) / cells
    points = (torch.arange(cells * SAMPLES, dtype=start.dtype) + 0.5) / SAMPLES
    position = (start[:, None] + points * length[:, None]).view(-1, cells, SAMPLES)
    side = sides[:, None, None]
    inside = (position >= -1) & (position <= side)
    position = torch.minimum(position.clamp(min=0), (side - 1).to(position.dtype))
    low = position.long()
    share = position - low
    weights = torch.stack([1 - share, share], -1) * inside[..., None]
    return low, torch.minimum(low + 1, side - 1), weights


def align_by_torchvision(
    features: Features,
    strides: Sequence[int],
    boxes: Float[Tensor, "regions 4"],
    images: Int64[Tensor, " regions"],
    levels: Int64[Tensor, " regions"],
    size: tuple[int, int],
    aligned: bool = False,
) -> Float[Tensor, "regions rows columns channels"]:
    """Read the regions from each map with torchvision's operator, and sum the results.

    For each map the regions of the other maps are moved outside the image, where they read zeros at no cost: selecting
    the regions of the map would have to wait for the GPU to count them.
    """
    total: Tensor | None = None
    for level, (feature, stride) in enumerate(zip(features, strides, strict=True)):
        # In float32, as torchvision does; its operator requires boxes and features of the same dtype.
        moved = torch.where((levels == level)[:, None], boxes, _OUTSIDE)
        rois = torch.cat([images[:, None].to(boxes.dtype), moved], 1)
        samples = ADAPTIVE if aligned else SAMPLES
        part = torchvision_roi_align(feature.to(boxes.dtype), rois, size, 1 / stride, samples, aligned)
        total = part if total is None else total.add_(part)
    assert total is not None
    return total.permute(0, 2, 3, 1).to(features[0].dtype)
