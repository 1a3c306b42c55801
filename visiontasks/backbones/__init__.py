"""Backbones: an image goes in, feature maps come out, fine to coarse."""

from collections.abc import Callable
from typing import Any

from visiontasks.backbones.base import Backbone
from visiontasks.backbones.cnn import CNN
from visiontasks.errors import ArgumentError, near_matches

__all__ = ["CNN", "Backbone", "create_backbone", "list_backbones"]

_BUILDERS: dict[str, Callable[..., Backbone]] = {
    "cnn": CNN,
}


def list_backbones() -> list[str]:
    """List the names that :func:`create_backbone` knows.

    Returns:
        The names, sorted.

    Example:
        >>> "cnn" in list_backbones()
        True
    """
    return sorted(_BUILDERS)


def create_backbone(name: str, in_channels: int = 3, **options: Any) -> Backbone:  # noqa: ANN401 (the builders type it)
    """Create a backbone by name.

    Args:
        name: One of :func:`list_backbones`.
        in_channels: Channels of the images.
        **options: Arguments of the named backbone.

    Returns:
        The backbone, randomly initialised.

    Raises:
        ArgumentError: If the name is unknown (near matches are listed) or the backbone does not take an option.

    Example:
        >>> create_backbone("cnn", in_channels=1, filters=(8, 16)).channels
        (8, 16, 16)
    """
    if name not in _BUILDERS:
        message = f"There is no backbone {name!r}. {near_matches(name, _BUILDERS)}"
        raise ArgumentError(message)
    try:
        return _BUILDERS[name](in_channels=in_channels, **options)
    except TypeError as error:
        message = f"backbone {name!r} was given {options}: {error}"
        raise ArgumentError(message) from error
