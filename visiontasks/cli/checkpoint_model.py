"""The task of a checkpoint and the data of its run, as flags of the command line."""

import json
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from visiontasks.cli.from_data import FROM_DATA
from visiontasks.cli.parser import flag_value
from visiontasks.cli.run_data import data_of_checkpoint
from visiontasks.data.datamodules.file_tasks import SIDES
from visiontasks.import_paths import import_path
from visiontasks.prediction import find_task
from visiontasks.runs import resolve_checkpoint
from visiontasks.tasks.given_objects import descriptions_in, require
from visiontasks.tasks.reading import read_checkpoint
from visiontasks.tasks.record import RECORD


def with_checkpoint(arguments: Sequence[str], *, scored: bool) -> list[str]:
    """Insert what a command takes from its checkpoint, unless it is given; flags override what is inserted before them.

    Args:
        arguments: The command line.
        scored: Whether the checkpoint is scored, for which its whole task and the data of its run are inserted;
            otherwise training goes on from it, with its task alone.

    Raises:
        ArgumentError: If a checkpoint is scored, no data are given, and those of the run are not known.
    """
    return _to_score(arguments) if scored else _to_go_on(arguments)


def _to_go_on(arguments: Sequence[str]) -> list[str]:
    words = list(arguments)
    path = flag_value("--ckpt_path", words)
    if path in ("", "last", "best") or _named(words) & {"--model", "--config", "-c"}:
        return words
    checkpoint = read_checkpoint(path, going_on=True, keep=True)
    saved = {name: value for name, value in checkpoint["hyper_parameters"].items() if name not in FROM_DATA}
    return [f"--model={_described(import_path(find_task(checkpoint, path)), saved)}", *words]


def _to_score(arguments: Sequence[str]) -> list[str]:
    words = list(arguments)
    path, named = flag_value("--ckpt_path", words), _named(words)
    if path in ("", "null", "last", "best"):
        return words
    checkpoint = read_checkpoint(path, keep=True)
    saved: dict[str, Any] = checkpoint["hyper_parameters"]
    configured, kind = named & {"--config", "-c"}, flag_value("--model", words)
    if not configured and "--data" not in named:
        words = [f"--data={json.dumps(_without_replaced(data_of_checkpoint(resolve_checkpoint(path)), named))}", *words]
    if configured or kind.startswith("{") or Path(kind).is_file():  # it says itself how the task is made
        known = {f"--model.{name}": saved[name] for name in FROM_DATA if saved.get(name) is not None}
        return [*words, *(f"{flag}={json.dumps(value)}" for flag, value in known.items() if flag not in named)]
    record = checkpoint.get(RECORD, {})
    given = {flag.removeprefix("--model.").partition(".")[0] for flag in named}
    require(descriptions_in(record), given, str(record.get("task")), path)
    # Before all other flags, which are thus those of the user.
    return [f"--model={_described(kind or import_path(find_task(checkpoint, path)), saved)}", *words]


def _without_replaced(data: dict[str, Any], named: Set[str]) -> dict[str, Any]:
    """Take the defaults for the size of the training images where a flag asks for the other kind of size."""
    sides = dict(zip(("shorter", "longer"), SIDES, strict=True))
    asked = {flag.removeprefix("--data.") for flag in named}
    # Not left out: the defaults of another data module would take their place.
    defaults = ({"image_size": None} if asked & sides.keys() else {}) | (sides if "image_size" in asked else {})
    arguments = data.get("init_args", {})
    return data | {"init_args": arguments | {name: defaults[name] for name in defaults.keys() & arguments.keys()}}


def _named(words: Sequence[str]) -> set[str]:
    return {word.partition("=")[0] for word in words}


def _described(class_path: str, arguments: dict[str, Any]) -> str:
    return json.dumps({"class_path": class_path, "init_args": arguments})
