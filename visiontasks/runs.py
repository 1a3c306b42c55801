"""Run folders: which of their checkpoints is the best, and which the newest that is whole."""

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from visiontasks.errors import CheckpointError, near_matches
from visiontasks.serialization import is_address, read_values, verify

_PASSING = re.compile(r"(last|hpc_ckpt_)")
"""Start of the names of checkpoints that are saved to go on from, whatever their score."""


class _Saved(NamedTuple):
    """A checkpoint file and what is known of it without reading its tensors.

    Attributes:
        path: The file.
        modified: Time of its last change in nanoseconds.
        step: Training steps before it was saved; None if it is damaged.
        best: Name of the file that the monitored ``ModelCheckpoint`` considered the best then.
    """

    path: Path
    modified: int
    step: int | None
    best: str | None


def checkpoints_in(folder: str | os.PathLike[str]) -> list[Path]:
    """List the checkpoints of a run folder, the oldest first.

    Their order is that of the training steps that they hold; at the same step, ``last*.ckpt`` counts as the newest,
    then the time of the last change decides, which also places damaged ones.

    Args:
        folder: The folder; its files, and those in its folder ``checkpoints``, that end in ``.ckpt`` are listed.
    """
    return [saved.path for saved in _saved_in(Path(folder))]


def best_checkpoint(folder: str | os.PathLike[str]) -> Path:
    """Find the best checkpoint of a run folder.

    It is the one that the ``ModelCheckpoint`` of the training considered the best when the newest checkpoint was saved;
    otherwise the newest one that is not saved just to go on from; otherwise the newest one.

    Args:
        folder: The folder, which may have been moved since.

    Raises:
        CheckpointError: If the folder has no checkpoint.
    """
    folder = Path(folder)
    newest_first = _saved_in(folder)[::-1]
    by_name = {saved.path.name: saved.path for saved in newest_first}
    for saved in newest_first:
        if saved.best in by_name:
            return by_name[saved.best]
    kept = [saved.path for saved in newest_first if not _PASSING.match(saved.path.name)]
    if not newest_first:
        raise CheckpointError(_nothing_in(folder))
    return (kept or [newest_first[0].path])[0]


def newest_checkpoint(folder: str | os.PathLike[str]) -> Path | None:
    """Find the newest whole checkpoint of a run folder, to go on from.

    The checksums of all of it are verified; a damaged one is skipped with a warning.

    Args:
        folder: The folder.

    Returns:
        The checkpoint; None if there is none.

    Raises:
        CheckpointError: If there are checkpoints, and all are damaged.
    """
    # Imported here because it takes a second, and most uses of this module need it not.
    from lightning.pytorch.utilities import rank_zero_warn

    damaged: list[str] = []
    for saved in reversed(_saved_in(Path(folder))):
        if saved.step is None or not _is_whole(saved.path):
            damaged.append(repr(str(saved.path)))
            continue
        if damaged:
            rank_zero_warn(
                f"Damaged and skipped: {', '.join(damaged)}. Used instead: {str(saved.path)!r}, of step {saved.step}."
            )
        return saved.path
    if damaged:
        message = (
            f"All checkpoints in {str(folder)!r} are damaged: {', '.join(damaged)}. Start anew, or go on from a "
            "checkpoint of another run."
        )
        raise CheckpointError(message)
    return None


def is_run_folder(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is a folder that a training writes to: it has checkpoints or a configuration."""
    folder = Path(path)
    return folder.is_dir() and (
        any(folder.glob("*.ckpt")) or (folder / "checkpoints").is_dir() or (folder / "config.yaml").is_file()
    )


def resolve_checkpoint(path_or_address: str | os.PathLike[str], *, going_on: bool = False) -> Path | str:
    """Find the checkpoint that is meant by a path.

    Args:
        path_or_address: A file or a remote address, which stay what they are; a run folder, such as
            ``runs/fit/version_0``; or a folder of versions, such as ``runs/fit``, of which the newest version with a
            checkpoint counts.
        going_on: Whether training goes on from it: then it is the newest whole checkpoint of the run, else the best.

    Returns:
        A local file, or the address.

    Raises:
        CheckpointError: If there is no such path, or no checkpoint in the folder.
    """
    if isinstance(path_or_address, str) and is_address(path_or_address):
        return path_or_address
    path = Path(path_or_address)
    if not path.exists():
        raise CheckpointError(_missing(path))
    if not path.is_dir():
        return path
    folder = path if is_run_folder(path) else _newest_version(path)
    checkpoint = newest_checkpoint(folder) if going_on else best_checkpoint(folder)
    if checkpoint is None:
        raise CheckpointError(_nothing_in(folder))
    return checkpoint


def _saved_in(folder: Path) -> list[_Saved]:
    files = [file for place in (folder, folder / "checkpoints") for file in place.glob("*.ckpt") if file.is_file()]
    checkpoints = [saved for file in files if (saved := _look_into(file))]
    steps = [(saved.modified, saved.step) for saved in checkpoints if saved.step is not None]

    def age(saved: _Saved) -> tuple[int, bool, int]:
        before = (step for modified, step in steps if modified <= saved.modified)
        step = max(before, default=-1) if saved.step is None else saved.step
        return step, saved.path.name.startswith("last"), saved.modified

    return sorted(checkpoints, key=age)


def _look_into(path: Path) -> _Saved | None:
    """Look into a file; None if it has been removed meanwhile, as training does with checkpoints that it replaces."""
    try:
        modified = path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    try:
        values = read_values(path)
        step = int(values["global_step"])
    except (CheckpointError, KeyError, TypeError, ValueError):
        return _Saved(path, modified, None, None)
    states: list[Any] = list(values.get("callbacks", {}).values())
    best = [
        PurePath(state["best_model_path"]).name
        for state in states
        if isinstance(state, Mapping) and state.get("monitor") and state.get("best_model_path")
    ]
    return _Saved(path, modified, step, best[0] if best else None)


def _is_whole(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            verify(file, str(path))
    except (CheckpointError, OSError):
        return False
    return True


def _versions(folder: Path) -> list[Path]:
    """List the run folders of a name, the newest first."""
    versions = [path for path in folder.glob("version_*") if path.name.removeprefix("version_").isdecimal()]
    return sorted(versions, key=lambda path: int(path.name.removeprefix("version_")), reverse=True)


def _newest_version(folder: Path) -> Path:
    for version in _versions(folder):
        if checkpoints_in(version):
            return version
    raise CheckpointError(_nothing_in(folder))


def _nothing_in(folder: Path) -> str:
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir()) if folder.is_dir() else []
    held = (
        f"it holds {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}" if names else "it is empty or missing"
    )
    remedy = "Give a run folder, such as runs/fit/version_0, or a file."
    if is_run_folder(folder):
        remedy = "Its training ended before it saved one, or still runs: give another run folder, or a file."
    elif versions := _versions(folder):
        runs = f"{versions[0].name} has none" if len(versions) == 1 else f"none of its {len(versions)} versions has one"
        held = f"{runs}, because the training ended before it saved one, or still runs"
        remedy = "Give another run folder, or a file."
    return f"There is no checkpoint in {str(folder)!r}: {held}. {remedy}"


def _missing(path: Path) -> str:
    address = re.match(r"[a-z][a-z0-9+.-]+:/", str(path))
    if address:
        near = " An address is given as text: pathlib.Path drops one of its slashes."
    else:
        absent = next(part for part in (path, *path.parents) if part.parent.exists())
        names = (other.name for other in absent.parent.iterdir() if other.suffix == ".ckpt" or other.is_dir())
        beside = [name for name in names if not name.startswith(".")]
        near = f" {near_matches(absent.name, beside)}" if beside else ""
        if absent != path:
            near = f" {str(absent.parent)!r} has no {absent.name!r}.{near}"
    return f"There is no checkpoint {str(path)!r}.{near} Nothing was trained or evaluated."
