"""Files of evaluations: after each validation of a training there are new ones, of which a few are kept."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
from lightning.pytorch import Trainer
from lightning.pytorch.trainer.states import TrainerFn

from visiontasks.errors import ArgumentError
from visiontasks.files import OptionalFiles, write_atomically

Keep = int | Literal["all"]

KEPT = 20
"""How many validations between the newest and the best keep their files by default."""

RECORD = ".validations.json"
"""File that says which files in its folder are of which validation. No other file is ever deleted."""


@dataclass
class Validation:
    """A validation that has files.

    Attributes:
        step: Number of training steps before it.
        score: The metric that chooses the best; None if it is missing or NaN.
        files: Names of its files.
    """

    step: int
    score: float | None
    files: list[str]


class EvaluationFiles:
    """Files that a callback writes in a folder of the run, after each validation and test.

    Of the validations of a training, those of the newest and of the best are kept, the latter by the metric that also
    chooses the best checkpoint, and a few in between at even distances. Files that cannot be written are left out,
    with a warning.

    Args:
        folder: Name of the folder.
        kind: What the files are, in the plural, for the warning.
        keep: How many validations keep their files besides the newest and the best; ``"all"`` for all of them.

    Raises:
        ArgumentError: If the number is negative.
    """

    def __init__(self, folder: str, kind: str, keep: Keep = KEPT) -> None:
        if keep != "all" and keep < 0:
            message = f"keep is {keep}; expected 'all', or the number of validations whose files are kept: 0 or more."
            raise ArgumentError(message)
        self.name = folder
        self.keep = keep
        self.folder: Path | None = None
        self._optional = OptionalFiles(kind)

    def begin(self, run_folder: Path | None) -> None:
        """Begin a run in a folder; None if it has none, and so no files."""
        self.folder = None if run_folder is None else run_folder / self.name

    def write(self, trainer: Trainer, task: Any, contents: Mapping[str, str | bytes]) -> None:
        """Write the files of an evaluation whose metrics are known.

        Args:
            trainer: The Trainer of the run.
            task: The task.
            contents: The contents of the files, by name.
        """
        if self.folder is None or not trainer.is_global_zero or not contents:
            return
        with self._optional.in_folder(self.folder):
            if trainer.state.fn == TrainerFn.FITTING and self.keep != "all":
                value = float(trainer.callback_metrics.get(task.monitor, math.nan))
                newest = Validation(trainer.global_step, None if math.isnan(value) else value, list(contents))
                _make_room(self.folder, newest, self.keep, task.monitor_mode)
            for name, content in contents.items():
                write_atomically(self.folder / name, content, flush=False)


def choose(validations: Sequence[Validation], keep: int, mode: str) -> list[Validation]:
    """Choose the validations that are kept.

    Args:
        validations: The validations, of which the last one is the newest.
        keep: Maximum number besides the newest and the best.
        mode: Whether the best has the maximum (``"max"``) or the minimum (``"min"``) score; the first of equal ones.

    Returns:
        The newest, the best and at most ``keep`` others, ordered by step; of those closest together in time, some are
        left out.
    """
    newest, scored = validations[-1], [validation for validation in validations if validation.score is not None]
    sign = 1 if mode == "min" else -1
    best = min(scored, key=lambda validation: (sign * (validation.score or 0.0), validation.step), default=newest)
    kept = sorted(validations, key=lambda validation: validation.step)

    def gap(index: int) -> float:
        return kept[index + 1].step - kept[index - 1].step if 0 < index < len(kept) - 1 else math.inf

    for _ in range(len(kept) - keep - (1 if best is newest else 2)):
        del kept[min((index for index, one in enumerate(kept) if one is not newest and one is not best), key=gap)]
    return kept


def _make_room(folder: Path, newest: Validation, keep: int, mode: str) -> None:
    """Record the files of a validation before they are written, and delete those of others.

    What was made before is read from the folder, so that it does not matter which process made it.
    """
    earlier = _read(folder)
    for validation in earlier:
        validation.files = [name for name in validation.files if name not in newest.files]
        if validation.step == newest.step:
            newest.files += validation.files
    known = [*(one for one in earlier if one.files and one.step != newest.step), newest]
    kept = choose(known, keep, mode)
    for validation in known:
        if not any(validation is one for one in kept):
            for name in validation.files:
                (folder / name).unlink(missing_ok=True)
    kept.remove(newest)
    write_atomically(folder / RECORD, msgspec.json.encode([*kept, newest]), flush=False)


def _read(folder: Path) -> list[Validation]:
    """Read what was recorded; nothing if the record is missing or damaged, so that all files are left alone."""
    try:
        validations = msgspec.json.decode((folder / RECORD).read_bytes(), type=list[Validation])
    except (OSError, msgspec.MsgspecError):
        return []
    return [one for one in validations if all(Path(name).name == name for name in one.files)]
