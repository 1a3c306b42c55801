"""Sizes of images, as a user gives them."""

from collections.abc import Iterable
from operator import index
from typing import SupportsIndex

from visiontasks.errors import ArgumentError

ImageSize = int | tuple[int, int]
"""Height and width in pixels; one number for both."""


def height_and_width(name: str, size: object, least: int = 1) -> tuple[int, int]:
    """Return height and width of a size that may be one number.

    Args:
        name: Name of the argument, for the message.
        size: The side of a square, or height and width, in pixels.
        least: Minimum of both in pixels.

    Raises:
        ArgumentError: If it is neither, or too small.

    Example:
        >>> height_and_width("image_size", 28), height_and_width("image_size", (360, 480))
        ((28, 28), (360, 480))
    """
    sides: list[object] = [*size] if isinstance(size, Iterable) else [size, size]
    whole = [index(side) for side in sides if isinstance(side, SupportsIndex) and not isinstance(side, bool)]
    if len(sides) != 2 or len(whole) != 2 or min(whole) < least:
        message = (
            f"{name} is {size!r}; expected pixels, at least {least}: one number for a square, or (height, width), such "
            "as 224 or (240, 320)."
        )
        raise ArgumentError(message)
    return whole[0], whole[1]
