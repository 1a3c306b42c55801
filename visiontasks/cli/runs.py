"""The folder of a run on the command line: which one, and whether a run goes on in it."""

import os
import re
import shlex
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from visiontasks.callbacks.run_logger import METRICS_FILE, RunLogger
from visiontasks.errors import ArgumentError
from visiontasks.import_paths import import_class
from visiontasks.runs import checkpoints_in, is_run_folder, newest_checkpoint, resolve_checkpoint

DEFAULT_FOLDER = "runs"
"""Folder of all runs, in the Trainer's ``default_root_dir``."""


class Run(NamedTuple):
    """The run of a command.

    Attributes:
        name: Its name, which Weights & Biases shows.
        root: Folder of the runs of all names.
        folder: The run folder if a run goes on in it; None for a new one.
        checkpoint: What to go on from or to score: a file, or an address; None for nothing.
        message: What is decided, in one line; empty if there is nothing to say.
    """

    name: str
    root: Path
    folder: Path | None = None
    checkpoint: str | None = None
    message: str = ""


def add_flags(parser: LightningArgumentParser, evaluates: bool) -> None:
    """Add the flags that choose the checkpoint and the run folder, and how often a checkpoint is saved."""
    text = "Checkpoint or run folder to score."
    if not evaluates:
        text = (
            "Checkpoint or run folder to go on from. With its optimiser and epoch, in that folder; 'last' is the "
            "newest of the run of that name, without which training starts fresh."
        )
    parser.add_argument("--ckpt_path", type=str | None, default=None, help=text)
    text = "Name of the run: its folder is RUNS/NAME/version_N, and Weights & Biases shows the name."
    parser.add_argument("--run", type=str | None, default=None, help=f"{text} By default WANDB_NAME, or the command.")
    text = "Folder of all runs (default: the folder 'runs' in trainer.default_root_dir)."
    parser.add_argument("--runs", type=str | None, default=None, help=text)
    text = "Minutes between the checkpoints that are saved within an epoch."
    parser.add_argument("--save_minutes", type=float, default=10.0, help=text)


def choose_run(config: Namespace, command: str, evaluates: bool) -> Run:
    """Choose the run folder and the checkpoint.

    Args:
        config: The configuration, with ``run``, ``runs``, ``ckpt_path`` and ``trainer``.
        command: Name of the command or recipe.
        evaluates: Whether the command scores a checkpoint.

    Raises:
        ArgumentError: If a new training would begin in the folder of another.
        CheckpointError: If there is no such checkpoint, or it is damaged.
    """
    path = config.ckpt_path
    entry = _first_logger(config.trainer.logger)
    logger = Namespace() if entry is None else entry.init_args
    default = Path(config.trainer.default_root_dir or "", DEFAULT_FOLDER)
    root = Path(config.runs or logger.get("save_dir") or default)
    name = config.run or logger.get("name") or _name_of_environment() or command
    if evaluates:
        if path in ("last", "best"):
            message = f"--ckpt_path {path}: give the run folder, such as --ckpt_path {root / 'fit' / 'version_0'}."
            raise ArgumentError(message)
        return Run(name, root, checkpoint=None if path is None else str(resolve_checkpoint(path)))
    home = root / name
    version = logger.get("version")
    given = None if version is None else home / _folder_name(version)
    if path is None:
        if given is not None and (given / METRICS_FILE).is_file():
            message = (
                f"{str(given)!r} holds a run, whose files a new training would replace. Go on in it with --ckpt_path "
                "last, or choose another folder by --run NAME."
            )
            raise ArgumentError(message)
        return Run(name, root)
    if path == "last":
        if entry is None and config.trainer.logger:
            message = (
                "--ckpt_path last looks into a run folder, and this logger keeps its files elsewhere. Use --wandb "
                "PROJECT, which leaves the run folder as it is, or give the checkpoint."
            )
            raise ArgumentError(message)
        return _newest_run(name, root, given or (home if entry is None else _newest_version(home)))
    checkpoint = resolve_checkpoint(path, going_on=True)
    folder = _folder_of(checkpoint) if isinstance(checkpoint, Path) else None
    if folder is None or (not Path(path).is_dir() and checkpoints_in(folder)[-1] != checkpoint):
        return Run(name, root, None, str(checkpoint), f"Going on from {checkpoint}, in a new run folder.")
    return Run(folder.parent.name, folder.parent.parent, folder, str(checkpoint), f"Going on from {checkpoint}.")


def placed_loggers(config: Namespace, run: Run) -> Any:  # noqa: ANN401 (one, several, or a truth value)
    """Copy the configuration of the loggers, with the run folder as the folder of the first one."""
    loggers = deepcopy(config.trainer.logger)
    entry = _first_logger(loggers)
    if entry is not None:
        entry.init_args.save_dir, entry.init_args.name = str(run.root), run.name
        if run.folder is not None:
            number = re.fullmatch(r"version_(\d+)", run.folder.name)
            entry.init_args.version = int(number[1]) if number else run.folder.name
    return loggers


def begin_anew(run: Run, loggers: Sequence[Logger]) -> None:
    """Put aside what a process that ended before its first checkpoint left in the folder of a run.

    Args:
        run: The run.
        loggers: The loggers of the Trainer.
    """
    if run.folder is None:
        return
    for logger in loggers:
        if isinstance(logger, RunLogger):
            logger.go_on(run.folder / METRICS_FILE, 0, None)


def line_that_goes_on(line: str) -> str:
    """Change a command line so that it goes on in the newest run of its name."""
    words = shlex.split(line)
    if "--ckpt_path" in words:
        position = words.index("--ckpt_path")
        words[position : position + 2] = []
    words = [word for word in words if not word.startswith("--ckpt_path=")]
    return shlex.join([*words, "--ckpt_path", "last"])


def _newest_run(name: str, root: Path, folder: Path | None) -> Run:
    if folder is None or not folder.is_dir():
        return Run(name, root, message=f"There is no run {name!r} in {str(root)!r} to go on from: starting fresh.")
    checkpoint = newest_checkpoint(folder)
    if checkpoint is None:
        return Run(name, root, folder, message=f"The run in {folder} has no checkpoint yet: starting fresh in it.")
    return Run(name, root, folder, str(checkpoint), f"Going on from {checkpoint}.")


def _newest_version(home: Path) -> Path | None:
    folders = home.glob("version_*") if home.is_dir() else ()
    numbered = {int(number): folder for folder in folders if (number := folder.name.removeprefix("version_")).isdigit()}
    return numbered[max(numbered)] if numbered else None


def _folder_of(checkpoint: Path) -> Path | None:
    """Find the run folder of a checkpoint file."""
    folder = checkpoint.parent
    folder = folder.parent if folder.name == "checkpoints" else folder
    return folder if is_run_folder(folder) else None


def _folder_name(version: int | str) -> str:
    return version if isinstance(version, str) else f"version_{version}"


def _first_logger(loggers: Any) -> Namespace | None:  # noqa: ANN401 (as above)
    """Find the logger whose folder is the run folder; None for another kind, or none."""
    entry = loggers[0] if isinstance(loggers, list) and loggers else loggers
    if not isinstance(entry, Namespace) or not issubclass(
        import_class(entry.class_path), CSVLogger | TensorBoardLogger
    ):
        return None
    return entry


def _name_of_environment() -> str | None:
    if os.environ.get("WANDB_NAME"):
        return os.environ["WANDB_NAME"]
    sweep, run = os.environ.get("WANDB_SWEEP_ID"), os.environ.get("WANDB_RUN_ID")
    return f"{sweep}-{run}" if sweep and run else None
