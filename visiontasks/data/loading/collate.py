"""Collation of samples into batches."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from visiontasks.data.loading.sharing import empty
from visiontasks.errors import ArgumentError
from visiontasks.types import IGNORED

SampleT = TypeVar("SampleT", bound=NamedTuple)

_PADDING = {"masks": IGNORED, "labels": -1}
_PICTURES = ("images", "masks")


def collate(samples: Sequence[SampleT], multiple: int = 1) -> SampleT:
    """Collate samples into a batch, which is a tuple of their own type.

    Each field is stacked. If its shapes differ between samples, it is padded at the end of each axis: ``masks`` with
    255, ``labels`` with -1, everything else with 0. Tensors and arrays keep their dtype, Python numbers become int64 or
    float32, and values that are not numeric become a list. Images, [C, H, W] in a sample, are channels-last in memory.

    Args:
        samples: Tuples of one type, at least one.
        multiple: The height and width of the fields ``images`` and ``masks`` are padded to a multiple of this number.

    Returns:
        The batch.

    Raises:
        ArgumentError: If there is no sample, or the number of axes or the type of a field differs between samples.

    Example:
        >>> Sample = NamedTuple("Sample", [("labels", Tensor), ("angle", float)])
        >>> collate([Sample(torch.tensor([3, 5]), 0.5), Sample(torch.tensor([2]), 1.0)])
        Sample(labels=tensor([[ 3,  5],
                [ 2, -1]]), angle=tensor([0.5000, 1.0000]))
    """
    if not samples:
        message = "There is no sample to make a batch of; the empty batch is empty_like of one with a sample."
        raise ArgumentError(message)
    kind = type(samples[0])
    columns = zip(kind._fields, zip(*samples, strict=True), strict=True)
    return kind._make(_stack(name, [_as_tensor(value) for value in column], multiple) for name, column in columns)


def empty_like(batch: SampleT) -> SampleT:
    """Return a batch without samples; dtypes and the other axes stay the same.

    Example:
        >>> Sample = NamedTuple("Sample", [("images", Tensor)])
        >>> empty_like(Sample(torch.zeros(2, 3, 8, 8))).images.shape
        torch.Size([0, 3, 8, 8])
    """
    return type(batch)._make(field[:0] for field in batch)


def _as_tensor(value: Any) -> Any:  # noqa: ANN401 (whatever a user puts into a field)
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return torch.as_tensor(value)
    if isinstance(value, bool | int | float):
        return torch.tensor(value)
    return value


def _stack(name: str, values: list[Any], multiple: int) -> Any:  # noqa: ANN401 (a tensor, or a list of other values)
    first = values[0]
    if not isinstance(first, Tensor):
        return values
    if any(value.ndim != first.ndim or value.dtype != first.dtype for value in values):
        forms = sorted({f"{value.dtype} {list(value.shape)}" for value in values})
        message = (
            f"The field {name!r} is {' and '.join(forms)} in samples of one batch; expected one type and one rank."
        )
        raise ArgumentError(message)
    shape = [max(sizes) for sizes in zip(*(value.shape for value in values), strict=True)]
    if name in _PICTURES:
        shape[-2:] = [-(-side // multiple) * multiple for side in shape[-2:]]
    channels_last = name == "images" and first.ndim == 3
    if channels_last:
        shape = [*shape[1:], shape[0]]
        values = [value.permute(1, 2, 0) for value in values]
    padded = any(list(value.shape) != shape for value in values)
    stacked = empty((len(values), *shape), first.dtype)
    # NumPy fills and copies in the calling thread; torch would start its own threads, which costs more than the copy.
    by_numpy = first.dtype == torch.uint8
    targets = stacked.numpy() if by_numpy else stacked
    if padded:
        targets[...] = _PADDING.get(name, 0)
    for target, value in zip(targets, values, strict=True):
        target[tuple(slice(side) for side in value.shape)] = value.numpy() if by_numpy else value
    return stacked.permute(0, 3, 1, 2) if channels_last else stacked
