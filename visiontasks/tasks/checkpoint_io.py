"""Checkpoint files that are written atomically and checked when they are read."""

import math
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint

from visiontasks.errors import CheckpointError
from visiontasks.tasks.checkpoint import read_checkpoint

_NAMED = 3


class SafeCheckpointIO(TorchCheckpointIO):
    """Reads and writes the local checkpoints of a Trainer; remote ones, such as ``s3://...``, are left to Lightning.

    Lightning stages a file in the temporary directory and then copies it, so that a full disk can leave a truncated
    file under the final name (pytorch-lightning#21253), and it hides permission errors (#21800). Here the data are
    written to a hidden file in the same folder and flushed to disk before the file gets its final name.

    Weights, averaged weights and states of optimisers that are infinite or NaN are not written.

    Args:
        unchecked: Names of weights that may be infinite or NaN.
    """

    def __init__(self, unchecked: Collection[str] = ()) -> None:
        super().__init__()
        self.unchecked = frozenset(unchecked)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:  # noqa: ANN401 (as in the base)
        """Save a checkpoint.

        Args:
            checkpoint: What to save.
            path: The file; its folder is created.
            storage_options: Options for storage other than local files.

        Raises:
            CheckpointError: If a value is infinite or NaN; an existing file of that name is left unchanged.
            OSError: If it cannot be written; likewise.
        """
        self._check_finite(checkpoint, path)
        if not _is_local(path) or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            unsafe = get_unsafe_globals_in_checkpoint(part)
            if unsafe:
                rank_zero_warn(
                    f"{str(target)!r} holds {', '.join(sorted(unsafe))}, which is refused when it is read, because "
                    "reading it could run code. Save plain values and tensors only, in hooks and callbacks as well."
                )
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> Any:  # noqa: ANN401 (as in the base)
        """Load a checkpoint to the CPU without running any code that it may contain.

        Args:
            path: The file.
            map_location: Passed on for storage other than local files.
            weights_only: Passed on for storage other than local files.

        Returns:
            The checkpoint.

        Raises:
            CheckpointError: If the file is missing, damaged, unsafe, or not a checkpoint.
        """
        return read_checkpoint(path) if _is_local(path) else super().load_checkpoint(path, map_location, weights_only)

    def _check_finite(self, checkpoint: dict[str, Any], path: str | Path) -> None:
        bad = [name for name, tensor in _values_of(checkpoint) if name not in self.unchecked and not _is_finite(tensor)]
        if bad:
            more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
            message = (
                f"The checkpoint {str(path)!r} was not written, because it is not finite: "
                f"{', '.join(bad[:_NAMED])}{more}. What was written before is left as it was: go on from there, with "
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


def _is_local(path: str | Path) -> bool:
    return "://" not in str(path)
