"""How pixels were normalised for published weights, by the configuration that comes with them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from visiontasks.backbones.backbone import ChannelValues, PretrainedNormalization

IMAGENET = ChannelValues(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
"""Mean and standard deviation of the channels over ImageNet, pixels in 0 to 1."""
UNIT = ChannelValues(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])


def expected_pixels(config: Mapping[str, Any]) -> PretrainedNormalization | None:
    """Find the normalisation in a configuration of timm.

    Args:
        config: A ``pretrained_cfg`` of timm, with ``mean`` and ``std`` of each channel.

    Returns:
        ``"imagenet"`` or ``"unit"`` if it is one of them, otherwise its numbers; None if it does not say.

    Example:
        >>> expected_pixels({"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}), expected_pixels({})
        ('unit', None)
    """
    mean, std = _numbers(config.get("mean")), _numbers(config.get("std"))
    if mean is None or std is None or len(mean) != len(std) or min(std) <= 0:
        return None
    values = ChannelValues(mean=mean, std=std)
    if values == IMAGENET:
        return "imagenet"
    return "unit" if values == UNIT else values


def _numbers(values: object) -> list[float] | None:
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        return None
    plain = all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    return [float(value) for value in values] if plain else None
