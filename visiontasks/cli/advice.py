"""Advice in the words of the command line: ``download=True`` of a message becomes ``--data.download true``."""

import inspect
import re
import sys
from collections import Counter
from functools import cache
from typing import Any

from visiontasks.data import datamodules

_ARGUMENT = re.compile(r"(?<![\w.('\"{\[-])(\w+)=(True|False|None|'[^']*'|\"[^\"]*\"|\[[^\]]*\]|\([^)]*\)|-?\d[\w.]*)")


def in_flags(message: str) -> str:
    """Rewrite the arguments of data modules, tasks and the Trainer that a message names as flags.

    An argument that several of them have is left as it is.

    Args:
        message: The message, in the words of Python.

    Example:
        >>> import visiontasks.cli.choices
        >>> in_flags("Pass download=True, or fractions=(0.8, 0.2, 0) and class_names=['a', 'b'].")
        'Pass --data.download true, or --data.fractions [0.8,0.2,0] and --data.class_names [a,b].'
    """
    # A command that has not loaded them has no such flags.
    owners = _owners(*(f"visiontasks.cli.{name}" in sys.modules for name in ("choices", "data", "training")))

    def rewrite(match: re.Match[str]) -> str:
        owner = owners.get(match[1])
        return f"--{owner}.{match[1]} {_value(match[2])}" if owner else match[0]

    return _ARGUMENT.sub(rewrite, message)


def _value(written: str) -> str:
    if written in ("True", "False", "None"):
        return {"None": "null"}.get(written, written.lower())
    if written.startswith(("[", "(")):
        return "[" + ",".join(part.strip().strip("'\"") for part in written[1:-1].split(",") if part.strip()) + "]"
    return written.strip("'\"")


@cache
def _owners(chosen: bool, read: bool, trained: bool) -> dict[str, str]:
    """Return whose argument a name is: ``"data"``, ``"model"`` or ``"trainer"``; names of several are left out.

    Args:
        chosen: Whether data modules and tasks are chosen.
        read: Whether data are, perhaps without Lightning.
        trained: Whether there is a Trainer.
    """
    classes: dict[str, tuple[Any, ...]] = {"data": (), "model": ()}
    if chosen:
        choices = sys.modules["visiontasks.cli.choices"]
        classes = {"data": choices.DATA_MODULES, "model": choices.TASKS}
    elif read:
        classes["data"] = tuple(getattr(datamodules, name) for name in dir(datamodules))
    names = {
        owner: {
            name
            for kind in kinds
            for part in kind.__mro__
            if part.__module__.startswith("visiontasks.") and "__init__" in vars(part)
            for name in inspect.signature(part.__init__).parameters
        }
        for owner, kinds in classes.items()
    }
    names["model"] -= {"class_names", "num_classes"}  # which a task adopts from the data
    if trained:
        names["trainer"] = {*inspect.signature(sys.modules["visiontasks.cli.training"].Trainer).parameters}
    counts = Counter(name for known in names.values() for name in known)
    return {name: owner for owner, known in names.items() for name in known if counts[name] == 1}
