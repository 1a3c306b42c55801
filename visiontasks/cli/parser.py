"""A parser with readable errors, and functions that read the command line before the parser exists."""

import re
from argparse import HelpFormatter
from collections.abc import Sequence
from itertools import pairwise
from typing import NoReturn

from jsonargparse import ArgumentParser

from visiontasks.cli.messages import explain
from visiontasks.errors import ArgumentError
from visiontasks.imports import import_class


class Parser(ArgumentParser):
    """A parser whose errors are readable and whose help shows the arguments of the chosen task and data."""

    chosen: tuple[tuple[str, type], ...] = ()
    outermost = False

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise an error with one readable message; parsers of nested classes pass their errors to the outermost."""
        if not self.outermost:
            super().error(message, ex)
        options = [option for action in self._actions for option in action.option_strings]
        raise ArgumentError(explain(message, options)) from ex

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        """Append the arguments of the chosen classes."""
        # Releases of jsonargparse before 4.53 take no formatter.
        text = str(super().format_help() if formatter is None else super().format_help(formatter))
        for key, owner in self.chosen:
            parser = ArgumentParser(add_help=False, usage="")
            parser.add_class_arguments(owner, key, fail_untyped=False)
            text += "\n" + re.sub(r"\Ausage:\s*", "", parser.format_help()).lstrip()
        return text


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
