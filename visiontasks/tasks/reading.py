"""Reading of checkpoints: from files, addresses and run folders, once in a command."""

import os
from pathlib import Path
from typing import Any

import torch

from visiontasks.errors import ArgumentError, CheckpointError
from visiontasks.runs import resolve_checkpoint
from visiontasks.serialization import Source, check_weights_only, is_address, load_file, name_of

_KEPT: dict[object, dict[str, Any]] = {}
"""At most one checkpoint that was read and is to be read again, by the state of its file."""


def read_checkpoint(
    source: Source,
    *,
    map_location: Any = "cpu",  # noqa: ANN401 (what torch.load takes)
    going_on: bool = False,
    keep: bool = False,
) -> dict[str, Any]:
    """Read a checkpoint without running any code that it may contain, after verifying its checksums.

    Args:
        source: A file, a remote address (``s3://...``, ``https://...``), a run folder or a file object.
        map_location: Where to put the tensors; see :func:`torch.load`.
        going_on: Whether a run folder stands for its newest whole checkpoint instead of its best one.
        keep: Whether to keep what was read for the next reading of the same file in this process, which then takes it
            over: a command that needs the arguments of a task before its Trainer restores it reads the file once.

    Returns:
        What Lightning saved (``state_dict``, ``hyper_parameters`` and so on).

    Raises:
        CheckpointError: If the file is missing, damaged, holds objects other than tensors and plain values, or is not a
            checkpoint of a LightningModule.
    """
    if isinstance(source, str | os.PathLike):
        source = resolve_checkpoint(source, going_on=going_on)
    state = _state_of(source)
    checkpoint = _KEPT.pop(state, None) if map_location == "cpu" else None
    _KEPT.clear()
    if checkpoint is None:
        checkpoint = load_file(source, map_location)
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        message = f"{name_of(source)!r} is not a Lightning checkpoint: it has no 'state_dict'."
        raise CheckpointError(message)
    if keep:
        _KEPT[state] = checkpoint
    return checkpoint


def read_task(
    source: Source,
    map_location: Any = None,  # noqa: ANN401 (what torch.load takes)
    weights_only: bool | None = None,
) -> dict[str, Any]:
    """Read a checkpoint to the device that it was saved from if there is such, by the arguments of Lightning.

    Args:
        source: See :func:`read_checkpoint`.
        map_location: Device to load to; None for that of the checkpoint.
        weights_only: As in Lightning, but never false.

    Returns:
        What Lightning saved.

    Raises:
        ArgumentError: If ``weights_only`` is false, or there is no such device.
        CheckpointError: See :func:`read_checkpoint`.
    """
    check_weights_only(weights_only)
    if map_location is not None:
        check_device(map_location)
    return read_checkpoint(source, map_location=map_location or saved_device)


def _state_of(source: Source) -> object:
    if isinstance(source, str | os.PathLike) and not is_address(source):
        file = Path(source).resolve()
        status = file.stat()
        return file, status.st_mtime_ns, status.st_size
    return source


def check_device(map_location: Any) -> None:  # noqa: ANN401 (what torch.load takes)
    """Check that this machine has a device.

    Raises:
        ArgumentError: If it has not.
    """
    if isinstance(map_location, str | torch.device):
        try:
            torch.empty(0, device=map_location)
        except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
            reason = str(error).partition("\n")[0]
            message = f"map_location is {str(map_location)!r}: {reason}"
            raise ArgumentError(message) from error


def saved_device(storage: Any, location: str) -> Any:  # noqa: ANN401 (a storage, which has no public type)
    """Leave a tensor on the device that it was saved from if this machine has it; otherwise put it on the CPU."""
    kind, _, index = location.partition(":")
    accelerator = torch.accelerator.current_accelerator()
    there = accelerator is not None and kind == accelerator.type and int(index or 0) < torch.accelerator.device_count()
    return None if there else storage
