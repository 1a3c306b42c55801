"""Drawings of filters and feature maps."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.errors import ArgumentError
from visiontasks.visualization.pictures import Picture, to_rgb


def first_convolution(module: nn.Module) -> nn.Conv2d:
    """Find the convolution that sees the image: the first one in the order in which the modules were registered.

    Args:
        module: A backbone, a task or any network.

    Returns:
        The convolution.

    Raises:
        ArgumentError: If there is none.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            return part
    message = f"{type(module).__name__} has no convolution whose filters could be drawn."
    raise ArgumentError(message)


def draw_filters(weight: Float[Tensor, "filters _ _ _"], columns: int = 16) -> Picture:
    """Draw filters side by side, magnified by a whole factor.

    Filters of three channels are drawn in colour. With any other number of channels, each filter is drawn as a grey
    mosaic of its channels, in a square from left to right and from top to bottom. Every filter is scaled by itself, all
    its channels
    alike: zero is mid-grey, its largest absolute weight black or white.

    Args:
        weight: Weight of a convolution, shape [filters, C, h, w], such as ``first_convolution(task.backbone).weight``.
        columns: Filters side by side.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    weight = weight.detach().float().cpu()
    largest = weight.abs().amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-30)
    pixels = ((weight / largest + 1) * 127.5).round().to(torch.uint8)
    if pixels.shape[1] != 3:
        side = math.ceil(pixels.shape[1] ** 0.5)
        pixels = torch.stack([_mosaic(list(one[:, None]), side, gap=min(1, side - 1)) for one in pixels])
    return _mosaic([_magnify(one, 40) for one in pixels], columns, gap=3)


def draw_activations(
    features: Sequence[Float[Tensor, "_ _ _"]], image: Tensor | None = None, count: int = 16
) -> Picture:
    """Draw the feature maps of one image, a row for each stage, fine to coarse.

    For every stage the strongest channels are shown, those with the largest mean absolute activation, strongest first.
    Each map is scaled by itself: black is its minimum activation, white its maximum.

    Args:
        features: Feature maps of one image, shape [C, h, w] each, such as
            ``[feature[0] for feature in backbone(images)]``.
        image: The image itself, drawn above them; see :func:`to_rgb`.
        count: Maximum number of channels per stage.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    rows = [] if image is None else [_magnify(to_rgb(image.detach().cpu()), 96)]
    for feature in features:
        maps = feature.detach().float().cpu()
        strongest = maps.abs().mean(dim=(1, 2)).argsort(descending=True, stable=True)[:count]
        # Large maps are shrunk to at most 64 pixels, small ones magnified.
        maps = F.avg_pool2d(maps[strongest], -(-maps.shape[-2] // 64), ceil_mode=True)
        least, most = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
        pixels = ((maps - least) / (most - least).clamp_min(1e-30) * 255).round().to(torch.uint8)
        rows.append(_mosaic([_magnify(one[None], 64) for one in pixels], count, gap=3))
    width = max(row.shape[-1] for row in rows)
    return torch.cat([F.pad(row, (0, width - row.shape[-1], 0, 3), value=255) for row in rows], dim=1)


def _magnify(image: Tensor, least: int) -> Tensor:
    """Repeat pixels so that the height comes near ``least``; large images stay as they are."""
    factor = max(1, round(least / image.shape[-2]))
    return image.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def _mosaic(tiles: Sequence[Tensor], columns: int, gap: int) -> Tensor:
    """Lay out images of equal size on white, with ``gap`` pixels between them."""
    height, width = tiles[0].shape[-2:]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    canvas = torch.full((3, rows * (height + gap) - gap, columns * (width + gap) - gap), 255, dtype=torch.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        canvas[:, top : top + height, left : left + width] = to_rgb(tile)
    return canvas
