"""Transfer of batches from worker processes to the training process through shared memory."""

import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from visiontasks.errors import ArgumentError

_SHARED_MEMORY = Path("/dev/shm")


def empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Create an uninitialised tensor; in a worker it is in shared memory, so that no copy is needed to send it.

    Args:
        shape: Shape of the tensor.
        dtype: Type of the tensor.

    Raises:
        ArgumentError: If there is too little shared memory.
    """
    if get_worker_info() is None:
        return torch.empty(*shape, dtype=dtype)
    with _shared_memory():
        storage = torch.UntypedStorage._new_shared(math.prod(shape) * dtype.itemsize, device="cpu")
    return torch.empty(0, dtype=dtype).set_(storage).view(*shape)


def hand_over(batch: Any) -> Any:  # noqa: ANN401 (the batch tuple of a task)
    """Move the other tensors of a worker's batch into shared memory; torch's own thread would hang if that fails.

    Args:
        batch: The batch.

    Raises:
        ArgumentError: If there is too little shared memory.
    """
    if get_worker_info() is not None and isinstance(batch, tuple):
        with _shared_memory():
            for field in batch:
                if isinstance(field, Tensor) and field.numel():
                    field.share_memory_()
    return batch


def remedy() -> str:
    """Return advice on what to do about too little shared memory."""
    room = ""
    if _SHARED_MEMORY.is_dir():
        total, _, free = shutil.disk_usage(_SHARED_MEMORY)
        room = f"{_SHARED_MEMORY} has {free / 2**20:.0f} of {total / 2**20:.0f} MiB free. "
    return f"{room}Enlarge it (docker run --shm-size=8g), or use a smaller batch_size, fewer workers, or num_workers=0."


@contextmanager
def _shared_memory() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        message = f"A worker could not hand over its batch by shared memory ({error}). {remedy()}"
        raise ArgumentError(message) from error
