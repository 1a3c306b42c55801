"""A parser with readable errors, and functions that read the command line before the parser exists."""

import re
from argparse import HelpFormatter
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from operator import or_
from typing import NoReturn, get_args

from jsonargparse import ArgumentParser

from visiontasks.cli.help import READS, Chosen, describe
from visiontasks.cli.hints import arguments_of
from visiontasks.cli.messages import explain
from visiontasks.errors import ArgumentError
from visiontasks.import_paths import import_class


class Parser(ArgumentParser):
    """A parser whose errors are readable and whose help shows the arguments of the chosen task and data.

    Attributes:
        chosen: ``"model"`` and ``"data"`` where they can be chosen, with the classes that are.
        outermost: Whether it is the parser of a command, and not of a class that one of its flags takes.
        first: Names of the flags that its help begins with.
    """

    chosen: tuple[tuple[str, type], ...] = ()
    outermost = False
    first: Sequence[str] = READS

    def count_in_integers(self) -> None:
        """Let integers be tried before fractions, which are other amounts: of one batch, or of all of them.

        ``typing`` keeps one order of a union, whichever was written first in any library.
        """
        for action in self._actions:
            kinds = get_args(getattr(action, "_typehint", None))
            if int in kinds and float in kinds:
                ordered = sorted(kinds, key=lambda kind: kind is not int)
                action._typehint = reduce(or_, ordered)  # type: ignore[attr-defined]  # jsonargparse's own

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise an error with one readable message; parsers of nested classes pass their errors to the outermost."""
        if not self.outermost:
            super().error(message, ex)
        written = [option for action in self._actions for option in action.option_strings]
        options = [option for option in written if option[:2] == "--" and not option.endswith(("+", ".help"))]
        options += [f"--{key}.{name}" for key, owner in self.chosen for name in sorted(arguments_of(owner))]
        raise ArgumentError(explain(message, options)) from ex

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        """Describe the flags by groups; of a nested class, as jsonargparse does."""
        if not self.outermost:
            # Releases of jsonargparse before 4.53 take no formatter.
            return str(super().format_help() if formatter is None else super().format_help(formatter))
        from visiontasks.cli.choices import DATA_MODULES, TASKS

        chosen = []
        for key, owner in self.chosen:
            parser = ArgumentParser(add_help=False)
            parser.add_class_arguments(owner, key, fail_untyped=False)
            chosen.append(Chosen(key, owner, TASKS if key == "model" else DATA_MODULES, parser))
        return describe(self, chosen, self.first)


def flag_value(flag: str, arguments: Sequence[str]) -> str:
    """Find the value of a flag before the parser exists: the last one given, or "" if there is none."""
    value = ""
    for word, following in pairwise([*arguments, ""]):
        if word == flag:
            value = following
        elif word.startswith(f"{flag}="):
            value = word.removeprefix(f"{flag}=")
    return value


def chosen_class(flag: str, arguments: Sequence[str], known: Sequence[type]) -> type:
    """Find the class given by a flag, to show its arguments; by default the first known one."""
    name = flag_value(flag, arguments)
    for candidate in known:
        if name == candidate.__name__:
            return candidate
    if re.fullmatch(r"\w+(\.\w+)+", name) and not name.endswith((".yaml", ".yml", ".json")):
        return import_class(name)
    return known[0]
