"""Evaluation without padding, so that the result for an image does not depend on those that share its batch."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from visiontasks.errors import ArgumentError
from visiontasks.types import IGNORED

PIXELS = 2**23
"""Number of pixels that are evaluated at once at most, or one image, so that large images fit into memory."""


def split_by_size(batch: Any, multiple: int = 1) -> list[tuple[list[int], Any]]:  # noqa: ANN401 (each task has its own)
    """Split a batch of padded images into batches of images of one size.

    Of padding beside an image, a group norm would see all, and a convolution what is near it.

    Args:
        batch: The batch. One without a field ``sizes`` has no padding, and is not split; nor is one of a class of your
            own that is no NamedTuple.
        multiple: Height and width of an image are padded to a multiple of this number, with 0.

    Returns:
        Positions of images, and the batch of them, which has at most :data:`PIXELS` or one image.
    """
    rows_of: dict[tuple[int, int], list[int]] = defaultdict(list)
    sizes = getattr(batch, "sizes", None)
    if not isinstance(sizes, Tensor) or not len(sizes) or not hasattr(batch, "_fields"):
        return [(list(range(len(batch.images))), batch)]
    for row, (height, width) in enumerate(sizes.tolist()):
        rows_of[-(-height // multiple) * multiple, -(-width // multiple) * multiple].append(row)
    parts = []
    for size, rows in rows_of.items():
        at_once = max(1, PIXELS // (size[0] * size[1]))
        for start in range(0, len(rows), at_once):
            chosen = rows[start : start + at_once]
            parts.append((chosen, _select(batch, chosen, size)))
    return parts


def join(parts: Sequence[tuple[list[int], Any]]) -> Any:  # noqa: ANN401 (each task has its own)
    """Join the predictions of the parts of a batch, in its order.

    Args:
        parts: Positions of images and predictions of them: tensors with a value for each image, lists of values, or
            tuples and mappings of these. If the sizes of tensors differ, they are padded with 0, labels with -1.

    Raises:
        ArgumentError: If there are several parts, and the predictions are of another type.
    """
    if len(parts) == 1:
        return parts[0][1]
    return _join("", [rows for rows, _ in parts], [values for _, values in parts])


def _select(batch: Any, rows: list[int], size: tuple[int, int]) -> Any:  # noqa: ANN401 (each task has its own)
    count, shape = len(batch.images), batch.images.shape[-2:]
    if len(rows) == count and size == tuple(shape):
        return batch

    def select(name: str, value: Any) -> Any:  # noqa: ANN401 (whatever a user puts into a field)
        if isinstance(value, list) and len(value) == count:
            return [value[row] for row in rows]
        if not isinstance(value, Tensor) or not value.ndim or len(value) != count:
            return value
        value = value if len(rows) == count else value[rows]
        if name not in ("images", "masks"):
            return value
        channels_last = value.ndim == 4 and value.is_contiguous(memory_format=torch.channels_last)
        value = value[..., : size[0], : size[1]]
        margin = (0, size[1] - value.shape[-1], 0, size[0] - value.shape[-2])
        if any(margin):
            value = F.pad(value, margin, value=IGNORED if name == "masks" else 0)
        return value.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)

    return type(batch)(*(select(name, value) for name, value in zip(batch._fields, batch, strict=True)))


def _join(name: str, rows: list[list[int]], values: list[Any]) -> Any:  # noqa: ANN401 (each task has its own)
    first = values[0]
    if isinstance(first, Tensor) and first.ndim:
        shape = [max(sides) for sides in zip(*(value.shape[1:] for value in values), strict=True)]
        padding = -1 if name == "labels" and first.dtype.is_signed else 0
        joined = first.new_full((sum(map(len, rows)), *shape), padding)
        for places, value in zip(rows, values, strict=True):
            corner = joined
            # A view of the corner, as values of one image may have any number of axes.
            for axis, side in enumerate(value.shape[1:], start=1):
                corner = corner.narrow(axis, 0, side)
            corner[places] = value
        return joined
    if isinstance(first, Mapping):
        return {key: _join(key, rows, [value[key] for value in values]) for key in first}
    if isinstance(first, tuple):
        names = getattr(first, "_fields", [""] * len(first))
        fields = [
            _join(field, rows, list(column)) for field, column in zip(names, zip(*values, strict=True), strict=True)
        ]
        return type(first)(*fields) if hasattr(first, "_fields") else tuple(fields)
    if isinstance(first, list) and all(len(value) == len(places) for places, value in zip(rows, values, strict=True)):
        places = [place for part in rows for place in part]
        items = [item for value in values for item in value]
        return [items[position] for position in np.argsort(places)]
    message = (
        f"The predictions have a {type(first).__name__}, which cannot be joined for the images of a batch; expected "
        "tensors or lists with a value for each image, or tuples and mappings of them."
    )
    raise ArgumentError(message)
