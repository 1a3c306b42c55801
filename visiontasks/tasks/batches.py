"""Batches of plain tensors, as yielded by a user's own DataLoader."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from visiontasks.errors import ArgumentError
from visiontasks.types import IGNORED


def has_images_alone(batch: object) -> bool:
    """Return whether a batch is a tensor, or a list or tuple of one tensor, as ``TensorDataset`` yields it."""
    if type(batch) in (list, tuple):
        return len(batch) == 1 and isinstance(batch[0], Tensor)  # type: ignore[arg-type,index]  # the type was asked for
    return isinstance(batch, Tensor)


@contextmanager
def explained_batch_norm(batch: Any) -> Iterator[None]:  # noqa: ANN401 (of any task)
    """Explain the error of a batch norm that is trained on a single value.

    Args:
        batch: The batch.

    Raises:
        ArgumentError: If the batch is too small for batch norm.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        message = (
            f"Batch norm cannot train on a batch of {len(batch.images)}: a channel has a single value. Use a "
            "larger batch size (with drop_last for the rest of an epoch), larger images, or a backbone with norm "
            "'group'."
        )
        raise ArgumentError(message) from error


def name_fields(batch: Any, kind: Any, task_name: str, *, alone: bool) -> Any:  # noqa: ANN401 (whatever a loader yields)
    """Convert a batch of plain tensors to the NamedTuple of a task.

    Args:
        batch: A batch with ``images``, which is returned unchanged; a pair of images and targets; or images alone.
        kind: NamedTuple of the task's batches. Those of detection and localization need more than a pair.
        task_name: Name of the task, for messages.
        alone: Whether images alone are accepted; only autoencoding can be trained on them.

    Returns:
        The batch, or one of that kind: ``ids`` count from 0, ``sizes`` are those of the images, and the targets of
        images alone are unknown (-1, in masks 255, in detection no object).

    Raises:
        ArgumentError: If the batch is none of these.
    """
    if hasattr(batch, "images"):
        return batch
    _, truth, *more = kind._fields
    given: Any = (batch,) if isinstance(batch, Tensor) else batch
    pairs = set(more) <= {"sizes", "scale", "ids"}
    lengths = [1] * alone + [2] * pairs
    tensors = isinstance(given, list | tuple) and len(given) in lengths and all(isinstance(x, Tensor) for x in given)
    if not tensors or given[0].ndim != 4:
        form = f"Tensor of shape {list(batch.shape)}" if isinstance(batch, Tensor) else type(batch).__name__
        if isinstance(batch, list | tuple):
            form += f" of {', '.join(type(field).__name__ for field in batch)}"
        message = (
            f"{task_name} was given a batch that is a {form}; expected {'a pair of tensors, or ' if pairs else ''}a "
            f"tuple with the fields of {kind.__name__} ({', '.join(kind._fields)}). Yield one, or override as_batch."
        )
        raise ArgumentError(message)
    batch = without_truth(kind, given[0])
    return batch._replace(**{truth: given[1]}) if len(given) == 2 else batch


def without_truth(kind: Any, images: Tensor, **known: Tensor) -> Any:  # noqa: ANN401 (the NamedTuple of a task)
    """Make a batch of images whose truth is unknown.

    Args:
        kind: NamedTuple of the batches.
        images: The images, shape [B, C, H, W].
        **known: Fields that are known; those that the batches do not have are left out.

    Returns:
        The batch: ``ids`` count from 0, ``sizes`` are those of the images. Labels are -1, masks 255, in detection there
        is no object, and what a NamedTuple of your own has besides is NaN for each image.
    """
    # The shape, since the length would be a constant in an exported program.
    count, device = images.shape[0], images.device
    # Without targets there is one label and one box per image, or, for detection, no object.
    objects = (count, 0) if "ignore" in kind._fields else (count,)
    unknown = {
        "labels": torch.full(objects, -1, device=device),
        "boxes": torch.zeros(*objects, 4, device=device),
        "ignore": torch.zeros(objects, dtype=torch.bool, device=device),
        "areas": torch.zeros(objects, device=device),
        "mask_bits": torch.zeros(count, 0, dtype=torch.uint8, device=device),
        "mask_windows": torch.zeros(*objects, 4, dtype=torch.int64, device=device),
        "masks": torch.full((count, *images.shape[-2:]), IGNORED, dtype=torch.uint8, device=device),
        # Not a tensor made from a list, whose copy to a GPU would block the host.
        "sizes": torch.cat([torch.full((count, 1), side, device=device) for side in images.shape[-2:]], 1),
        "scale": torch.ones(count, 2, device=device),
        "ids": torch.arange(count, device=device),
    }
    fields = unknown | {"images": images} | known
    fields = {"mask_sizes": fields["sizes"]} | fields
    return kind(**{name: fields.get(name, torch.full((count,), torch.nan, device=device)) for name in kind._fields})
