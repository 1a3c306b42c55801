"""Which feature maps of a backbone a detector reads."""

from collections.abc import Sequence


def pyramid_levels(strides: Sequence[int], finest: int = 4) -> list[int]:
    """Choose the maps of a pyramid: the last one of each stride that is coarse enough, the coarsest in any case.

    Args:
        strides: Strides of all maps, fine to coarse.
        finest: Least stride of a map that is used.

    Returns:
        Their positions, fine to coarse.

    Example:
        >>> pyramid_levels((1, 2, 4, 8, 16, 16))
        [2, 3, 5]
    """
    last = {stride: level for level, stride in enumerate(strides) if stride >= finest}
    return list(last.values()) or [len(strides) - 1]


def single_level(strides: Sequence[int], most: int = 16) -> int:
    """Choose the one map of a detector without a pyramid: the last one of at most a stride.

    Args:
        strides: Strides of all maps, fine to coarse.
        most: Largest stride; 16 is the map that Faster R-CNN was published with.

    Returns:
        Its position; 0 where all are coarser.

    Example:
        >>> single_level((2, 4, 8, 16, 32))
        3
    """
    return max([level for level, stride in enumerate(strides) if stride <= most], default=0)
