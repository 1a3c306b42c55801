"""Which feature maps of a backbone a detector reads."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from visiontasks.backbones.backbone import Backbone
from visiontasks.necks.fpn import FeaturePyramid


class DetectorMaps(NamedTuple):
    """The maps that a detector works on.

    Attributes:
        neck: The pyramid; an identity without one.
        levels: Positions of the maps of the backbone that are used, fine to coarse.
        strides: Strides of the maps; a pyramid may have one more than it is made from.
        width: Their channels.
    """

    neck: nn.Module
    levels: list[int]
    strides: tuple[int, ...]
    width: int


def choose_maps(
    backbone: Backbone, neck: str, finest: int, width: int, *, batch_norm: bool, extra: bool, alone: bool
) -> DetectorMaps:
    """Choose the maps of a detector.

    Args:
        backbone: The backbone.
        neck: ``"fpn"`` for a pyramid, ``"none"`` for a single map.
        finest: See :func:`pyramid`.
        width: See :func:`pyramid`.
        batch_norm: See :class:`~visiontasks.necks.fpn.FeaturePyramid`.
        extra: See :class:`~visiontasks.necks.fpn.FeaturePyramid`.
        alone: Whether the backbone runs on each region alone, whose features are then its coarsest map.
    """
    if alone:
        return single_map(backbone, -1)
    if neck == "none":
        return single_map(backbone, only_level(backbone))
    return pyramid(backbone, finest, width, batch_norm=batch_norm, extra=extra)


def pyramid(backbone: Backbone, finest: int, width: int, *, batch_norm: bool, extra: bool) -> DetectorMaps:
    """Make a pyramid of maps.

    Args:
        backbone: The backbone.
        finest: Minimum stride of a map that is used.
        width: Channels of the pyramid.
        batch_norm: See :class:`~visiontasks.necks.fpn.FeaturePyramid`.
        extra: See :class:`~visiontasks.necks.fpn.FeaturePyramid`.
    """
    levels = pyramid_levels(backbone.strides, finest)
    channels, strides = ([values[level] for level in levels] for values in (backbone.channels, backbone.strides))
    neck = FeaturePyramid(channels, strides, width, batch_norm=batch_norm, extra=extra)
    return DetectorMaps(neck, levels, neck.strides, width)


def single_map(backbone: Backbone, level: int) -> DetectorMaps:
    """Take one map of a backbone as it is.

    Args:
        backbone: The backbone.
        level: Its position, from the end if it is negative.
    """
    level %= len(backbone.strides)
    return DetectorMaps(nn.Identity(), [level], (backbone.strides[level],), backbone.channels[level])


def pyramid_levels(strides: Sequence[int], finest: int = 4) -> list[int]:
    """Choose the maps of a pyramid: the last map of each stride of at least ``finest``, or else the coarsest map.

    Args:
        strides: Strides of all maps, fine to coarse.
        finest: Minimum stride of a map that is used.

    Returns:
        Their positions, fine to coarse.

    Example:
        >>> pyramid_levels((1, 2, 4, 8, 16, 16))
        [2, 3, 5]
    """
    last = {stride: level for level, stride in enumerate(strides) if stride >= finest}
    return list(last.values()) or [len(strides) - 1]


def only_level(backbone: Backbone, most: int = 16) -> int:
    """Choose the single map of a detector without a pyramid: the last one whose stride is at most ``most``.

    The stages after it, which the backbone computes anyway, are not trained, because no gradient would reach them. If
    the backbone does not list its stages, the coarsest map is chosen.

    Args:
        backbone: The backbone; changed in place.
        most: Maximum stride; the original Faster R-CNN uses 16.

    Returns:
        Its position; 0 if all maps are coarser.

    Example:
        >>> from visiontasks import create_backbone
        >>> only_level(create_backbone("resnet18"))
        3
    """
    stages = backbone.stage_modules()
    if not stages:
        return len(backbone.strides) - 1
    level = max([level for level, stride in enumerate(backbone.strides) if stride <= most], default=0)
    for stage in stages[level + 1 :]:
        for module in stage:
            module.requires_grad_(False)
    return level
