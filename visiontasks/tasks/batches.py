"""Batches of plain tensors, as a DataLoader of one's own yields them."""

from typing import Any

import torch
from torch import Tensor

from visiontasks.errors import ArgumentError
from visiontasks.types import IGNORED


def has_images_alone(batch: object) -> bool:
    """Tell whether a batch is a tensor, or one tensor in a list or tuple, as ``TensorDataset`` yields it."""
    if type(batch) in (list, tuple):
        return len(batch) == 1 and isinstance(batch[0], Tensor)  # type: ignore[arg-type,index]  # the type was asked for
    return isinstance(batch, Tensor)


def name_fields(batch: Any, kind: Any, task_name: str, *, alone: bool) -> Any:  # noqa: ANN401 (whatever a loader yields)
    """Give the fields of a batch their names.

    Args:
        batch: One that has ``images``, and stays as it is; a pair of images and what is true of them; or images alone.
        kind: The named tuple of the task's batches. Those of detection and localization hold more than a pair says.
        task_name: Of the task, for messages.
        alone: Whether images alone will do; nothing can be learnt from them but in autoencoding.

    Returns:
        The batch, or one of that kind: ``ids`` count from 0, ``sizes`` are those of the images, and what is true of
        images alone is not known (-1, in masks 255).

    Raises:
        ArgumentError: If it is nothing of the sort.
    """
    if hasattr(batch, "images"):
        return batch
    _, truth, *more = kind._fields
    given: Any = (batch,) if isinstance(batch, Tensor) else batch
    pairs, lengths = set(more) <= {"sizes", "scale", "ids"}, (1, 2) if alone else (2,)
    tensors = isinstance(given, list | tuple) and len(given) in lengths and all(isinstance(x, Tensor) for x in given)
    if not pairs or not tensors or given[0].ndim != 4:
        found = f"Tensor of shape {list(batch.shape)}" if isinstance(batch, Tensor) else type(batch).__name__
        if isinstance(batch, list | tuple):
            found += f" of {', '.join(type(field).__name__ for field in batch)}"
        message = (
            f"{task_name} was given a batch that is a {found}; expected {'a pair of tensors, or ' if pairs else ''}a "
            f"tuple with the fields of {kind.__name__} ({', '.join(kind._fields)}). Yield one, or override as_batch."
        )
        raise ArgumentError(message)
    images: Tensor = given[0]
    count, device = len(images), images.device
    unknown = {
        "labels": torch.full((count,), -1, device=device),
        "masks": torch.full((count, *images.shape[-2:]), IGNORED, dtype=torch.uint8, device=device),
    }
    rest = {
        # Not a tensor of a list: its way to a GPU would be waited for.
        "sizes": torch.cat([torch.full((count, 1), side, device=device) for side in images.shape[-2:]], 1),
        "scale": torch.ones(count, 2, device=device),
        "ids": torch.arange(count, device=device),
    }
    known = given[1] if len(given) == 2 else unknown[truth]
    return kind(images=images, **{truth: known}, **{name: rest[name] for name in more})
