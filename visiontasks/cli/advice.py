"""Advice in the words of the command line: ``download=True`` of a message becomes ``--data.download true``."""

import inspect
import re
import sys
from functools import cache

_ARGUMENT = re.compile(r"(?<![\w.('\"{\[-])(\w+)=(True|False|None|'[^']*'|\"[^\"]*\"|\[[^\]]*\]|\([^)]*\)|-?\d[\w.]*)")


def in_flags(message: str) -> str:
    """Rewrite the arguments of data modules and tasks that a message names as flags.

    An argument that both have is left as it is.

    Args:
        message: The message, in the words of Python.

    Example:
        >>> import visiontasks.cli.choices
        >>> in_flags("Pass download=True, or fractions=(0.8, 0.2, 0) and class_names=['a', 'b'].")
        'Pass --data.download true, or --data.fractions [0.8,0.2,0] and --data.class_names [a,b].'
    """
    owners = _owners()

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
def _owners() -> dict[str, str]:
    """Return whose argument a name is: ``"data"`` or ``"model"``; names of both are left out."""
    choices = sys.modules.get("visiontasks.cli.choices")  # a command that has not loaded it has no such flags
    if choices is None:
        return {}
    names = {
        owner: {
            name
            for kind in kinds
            for part in kind.__mro__
            if part.__module__.startswith("visiontasks.") and "__init__" in vars(part)
            for name in inspect.signature(part.__init__).parameters
        }
        for owner, kinds in (("data", choices.DATA_MODULES), ("model", choices.TASKS))
    }
    names["model"] -= {"class_names", "num_classes"}  # which a task adopts from the data
    both = names["data"] & names["model"]
    return {name: owner for owner, known in names.items() for name in known - both}
