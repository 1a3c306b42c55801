"""Cost and receptive fields of a backbone, computed from the backbone itself."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from visiontasks.backbones import create_backbone
from visiontasks.backbones.backbone import Features
from visiontasks.backbones.receptive_field import receptive_fields
from visiontasks.sizes import ImageSize, height_and_width


class MapSummary(NamedTuple):
    """Summary of a feature map.

    Attributes:
        stride: Pixels of the image per pixel of the map.
        channels: Number of channels.
        height: Height of the map in its own pixels, for the requested image size.
        width: Width of the map, likewise.
        parameters: Number of parameters that this map depends on and no finer map does; None in a brief summary.
        receptive_field: Number of image columns that a position depends on; None if it is all of them and, in a brief
            summary, for all maps but the coarsest.
    """

    stride: int
    channels: int
    height: int
    width: int
    parameters: int | None
    receptive_field: int | None


class BackboneSummary(NamedTuple):
    """Summary of a backbone.

    Attributes:
        name: Its name.
        parameters: Total number of parameters.
        multiply_adds: Multiply-adds of convolutions and matrix products for one image.
        maps: Its feature maps, fine to coarse.
    """

    name: str
    parameters: int
    multiply_adds: int
    maps: list[MapSummary]


def summarize(name: str, in_channels: int = 3, size: ImageSize = (224, 224), *, brief: bool = False) -> BackboneSummary:
    """Summarise a named backbone without allocating its weights.

    Args:
        name: As for :func:`~visiontasks.backbones.create_backbone`.
        in_channels: Channels of the images.
        size: Height and width of the image in pixels.
        brief: Whether to skip the slowest parts: the parameters of each map, and the receptive fields of all maps but
            the coarsest.

    Returns:
        The summary.

    Raises:
        ArgumentError: If the backbone cannot be created.

    Example:
        >>> summary = summarize("resnet18")
        >>> summary.parameters, summary.multiply_adds, summary.maps[-1].receptive_field
        (11176512, 1813561344, 435)
    """
    with torch.device("meta"):  # shapes without arithmetic
        backbone = create_backbone(name, in_channels).eval()
        counter = FlopCounterMode(display=False)
        with counter, torch.set_grad_enabled(not brief):
            features = backbone(torch.empty(1, in_channels, *height_and_width("size", size)))
    last = len(features) - 1
    measured = [last] if brief else list(range(len(features)))
    fields = dict(zip(measured, receptive_fields(backbone, in_channels, measured), strict=True))
    parameters = list(backbone.parameters())
    counts: list[int | None] = [None] * len(features)
    if not brief:
        counts = [sum(parameters[index].numel() for index in of) for of in parameters_by_map(parameters, features)]
    maps = []
    for index, (stride, channels, feature) in enumerate(
        zip(backbone.strides, backbone.channels, features, strict=True)
    ):
        field = fields.get(index)
        height, width = feature.shape[-2:]
        pixels = None if field is None else field.size
        maps.append(MapSummary(stride, channels, height, width, counts[index], pixels))
    total = sum(parameter.numel() for parameter in parameters)
    return BackboneSummary(name, total, counter.get_total_flops() // 2, maps)


def parameters_by_map(parameters: Sequence[Tensor], features: Features) -> list[set[int]]:
    """Find the parameters that the gradient of each map reaches but that of no finer map does.

    Args:
        parameters: Parameters that the maps were computed from.
        features: Feature maps, fine to coarse.

    Returns:
        Positions of the parameters of each map.
    """
    seen: set[int] = set()
    of_maps: list[set[int]] = []
    for feature in features:
        gradients: tuple[Tensor | None, ...] = torch.autograd.grad(
            feature.sum(), parameters, retain_graph=True, allow_unused=True
        )
        reached = {index for index, gradient in enumerate(gradients) if gradient is not None}
        of_maps.append(reached - seen)
        seen |= reached
    return of_maps
