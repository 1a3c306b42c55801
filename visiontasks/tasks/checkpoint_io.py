"""Checkpoint files that are written atomically and checked when they are read."""

import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.plugins.io.wrapper import _WrappingCheckpointIO
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint
from torch.utils._pytree import tree_leaves

from visiontasks.errors import CheckpointError, listed
from visiontasks.files import reason, remove_abandoned, replacing, system_error
from visiontasks.serialization import check_weights_only, is_address
from visiontasks.tasks.reading import read_checkpoint

_NAMED = 3


class SafeCheckpointIO(TorchCheckpointIO):
    """Reads and writes the checkpoints of a Trainer.

    Lightning stages a file in the temporary directory and then copies it, so that a full disk can leave a truncated
    file under the final name (pytorch-lightning#21253), and it hides permission errors (#21800). Here the data are
    written to a hidden file in the same folder and flushed to disk before the file gets its final name. Such files of
    processes of this machine that were killed meanwhile are removed.

    Remote files, such as ``s3://...``, are written by Lightning, in a transaction of fsspec: an object of S3 or Google
    Cloud Storage appears when it is complete; where a file system of fsspec knows transactions, the file is moved or
    renamed to its final name at their end. No more is known of others.

    Weights, averaged weights and states of optimisers that are infinite or NaN are not written.

    Args:
        unchecked: Names of weights that may be infinite or NaN.
        going_on: Whether a run folder that is given as a checkpoint stands for its newest one instead of its best one.
    """

    def __init__(self, unchecked: Collection[str] = (), *, going_on: bool = False) -> None:
        super().__init__()
        self.unchecked = frozenset(unchecked)
        self.going_on = going_on

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:  # noqa: ANN401 (as in the base)
        """Save a checkpoint.

        Args:
            checkpoint: What to save.
            path: The file; its folder is created.
            storage_options: Options for storage other than local files.

        Raises:
            CheckpointError: If a value is infinite or NaN, or it cannot be written; an existing file of that name is
                left unchanged.
        """
        self._check_finite(checkpoint, path)
        if is_address(path) or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        if target.parent.is_dir():
            remove_abandoned(target.parent)
        try:
            with replacing(target) as part:
                with part.open("wb") as file:
                    torch.save(checkpoint, file)
                unsafe = get_unsafe_globals_in_checkpoint(part)
        except (OSError, RuntimeError) as error:
            # torch hides the error of the system behind its own.
            system = system_error(error)
            if system is None:
                raise
            other = "" if system.filename == str(target) else f"{system.filename!r}: "
            message = (
                f"The checkpoint {str(target)!r} could not be saved: {other}{reason(system)}. It takes about "
                f"{_size(checkpoint) / 2**20:,.1f} MiB. What was there before is unchanged. Make room, or choose "
                "another place to write to, and go on from the checkpoint before."
            )
            raise CheckpointError(message) from error
        if unsafe:
            rank_zero_warn(
                f"{str(target)!r} holds {', '.join(sorted(unsafe))}, which is refused when it is read, because "
                "reading it could run code. Save plain values and tensors only, in hooks and callbacks as well."
            )

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> Any:  # noqa: ANN401 (as in the base)
        """Load a checkpoint to the CPU without running any code that it may contain.

        Args:
            path: A file, a remote address or a run folder.
            map_location: Ignored: Lightning moves what it restores.
            weights_only: As in Lightning, but never false.

        Returns:
            The checkpoint.

        Raises:
            ArgumentError: If ``weights_only`` is false.
            CheckpointError: If the file is missing, damaged, unsafe, or not a checkpoint.
        """
        check_weights_only(weights_only)
        return read_checkpoint(path, going_on=self.going_on)

    def _check_finite(self, checkpoint: dict[str, Any], path: str | Path) -> None:
        bad = [name for name, tensor in _values_of(checkpoint) if name not in self.unchecked and not _is_finite(tensor)]
        if bad:
            message = (
                f"The checkpoint {str(path)!r} was not written, because it is not finite: "
                f"{listed(bad, _NAMED)}. What was written before is left as it was: go on from there, with "
                "a lower learning rate."
            )
            raise CheckpointError(message)


def _values_of(checkpoint: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Yield weights, averaged or not, and the tensors of the optimisers' states, with their names."""
    for key in ("state_dict", "current_model_state"):
        for name, value in checkpoint.get(key, {}).items():
            if isinstance(value, Tensor):
                yield name, value
    for optimizer in checkpoint.get("optimizer_states", []):
        for index, state in optimizer.get("state", {}).items():
            for name, value in state.items() if isinstance(state, dict) else ():
                if isinstance(value, Tensor):
                    yield f"{name} of the optimiser's parameter {index}", value


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    # Faster than to look at each value; the squares of large ones may overflow.
    return math.isfinite(torch.linalg.vector_norm(tensor)) or bool(tensor.isfinite().all())


def use_safe_io(strategy: Strategy, unchecked: Collection[str], *, going_on: bool) -> None:
    """Let a strategy read and write checkpoints by :class:`SafeCheckpointIO`, also within ``AsyncCheckpointIO``.

    Args:
        strategy: The Trainer's strategy; reading and writing of your own is left as it is.
        unchecked: See :class:`SafeCheckpointIO`.
        going_on: See :class:`SafeCheckpointIO`.
    """
    current, safe = strategy.checkpoint_io, SafeCheckpointIO(unchecked, going_on=going_on)
    replaced = (TorchCheckpointIO, SafeCheckpointIO)
    if type(current) in replaced:
        strategy.checkpoint_io = safe
    elif isinstance(current, _WrappingCheckpointIO) and type(current.checkpoint_io) in replaced:
        current._checkpoint_io = safe  # the public setter takes only the first one


def _size(checkpoint: dict[str, Any]) -> int:
    """Count the bytes of the tensors in a checkpoint."""
    leaves = tree_leaves(checkpoint)
    return sum(leaf.numel() * leaf.element_size() for leaf in leaves if isinstance(leaf, Tensor))
