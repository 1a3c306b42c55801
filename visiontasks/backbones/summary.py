"""What a backbone costs and sees, computed from the backbone itself."""

from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from visiontasks.backbones import create_backbone
from visiontasks.backbones.receptive_field import receptive_fields


class MapSummary(NamedTuple):
    """A feature map.

    Attributes:
        stride: Pixels of the image per pixel of the map.
        channels: Channels.
        height: Of the map in its own pixels, for the image size that was asked for.
        width: Of the map.
        parameters: Parameters that this map depends on and no finer one.
        receptive_field: Columns of the image that a place depends on; None for all.
    """

    stride: int
    channels: int
    height: int
    width: int
    parameters: int
    receptive_field: int | None


class BackboneSummary(NamedTuple):
    """A backbone.

    Attributes:
        name: Its name.
        parameters: All its parameters.
        multiply_adds: Multiplications of weights and values for one image: convolutions and matrix products.
        maps: Its feature maps, fine to coarse.
    """

    name: str
    parameters: int
    multiply_adds: int
    maps: list[MapSummary]


def summarize(
    name: str, in_channels: int = 3, size: tuple[int, int] = (224, 224), *, last_field_only: bool = False
) -> BackboneSummary:
    """Measure a named backbone, without its weights ever being made.

    Args:
        name: As for :func:`~visiontasks.backbones.create_backbone`.
        in_channels: Channels of the images.
        size: Height and width of the image in pixels.
        last_field_only: Whether the receptive field is measured for the coarsest map alone, which takes less time; the
            others are then None.

    Returns:
        The summary.

    Raises:
        ArgumentError: If the backbone cannot be made.

    Example:
        >>> summary = summarize("resnet18")
        >>> summary.parameters, summary.multiply_adds, summary.maps[-1].receptive_field
        (11176512, 1813561344, 435)
    """
    with torch.device("meta"):  # shapes without arithmetic
        backbone = create_backbone(name, in_channels).eval()
        counter = FlopCounterMode(display=False)
        with counter:
            features = backbone(torch.empty(1, in_channels, *size))
    parameters = list(backbone.parameters())
    seen: set[int] = set()
    counts = []
    for feature in features:
        gradients = torch.autograd.grad(feature.sum(), parameters, retain_graph=True, allow_unused=True)
        used = {index for index, gradient in enumerate(gradients) if gradient is not None}
        counts.append(sum(parameters[index].numel() for index in used - seen))
        seen |= used
    last = len(features) - 1
    indices = [last] if last_field_only else list(range(len(features)))
    fields = dict(zip(indices, receptive_fields(backbone, in_channels, indices), strict=True))
    maps = []
    for index, (stride, channels, feature, count) in enumerate(
        zip(backbone.strides, backbone.channels, features, counts, strict=True)
    ):
        field = fields.get(index)
        maps.append(MapSummary(stride, channels, *feature.shape[-2:], count, None if field is None else field.size))
    total = sum(parameter.numel() for parameter in parameters)
    return BackboneSummary(name, total, counter.get_total_flops() // 2, maps)
