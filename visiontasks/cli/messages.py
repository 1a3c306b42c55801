"""Rewriting of jsonargparse errors about a wrong flag or value into one readable message."""

import re
from collections.abc import Callable, Sequence
from importlib import import_module

from jsonargparse import ArgumentParser

from visiontasks.errors import near_matches


def explain(message: str, options: Sequence[str]) -> str:
    """Rewrite an error of the parser.

    Args:
        message: The message of jsonargparse.
        options: The flags that the parser knows.

    Returns:
        What was found, what was expected, and near matches; the message itself if its form is unknown.

    Example:
        >>> explain("Unrecognized arguments: --trainer.max_epoch 3", ["--trainer.max_epochs", "--data.root"])
        "There is no option '--trainer.max_epoch'. Did you mean '--trainer.max_epochs'?"
    """
    for rewrite in (_unknown_flag, _unknown_argument, _unknown_class, _wrong_literal, _wrong_value):
        text = rewrite(message, options)
        if text is not None:
            return text
    return message.strip()


def _unknown_flag(message: str, options: Sequence[str]) -> str | None:
    match = re.search(r"[Uu]nrecognized arguments?: (\S+)", message)
    if match is None:
        return None
    flag = match[1].partition("=")[0]
    if flag.endswith((".num_classes", ".in_channels")):
        return f"{flag} cannot be given: it is taken from the data module."
    return f"There is no option {flag!r}. {near_matches(flag, options)}"


def _unknown_argument(message: str, options: Sequence[str]) -> str | None:
    match = re.search(r"Option '([^']+)' is not accepted", message)
    owner = re.findall(r"Problem with given class_path '([^']+)'", message)
    if match is None or not owner:
        return None
    key = _full_key(message)
    if "." in key:
        # Nested deeper than the named class, such as an argument of the optimiser.
        return f"--{key}.{match[1]}: there is no such argument."
    name = owner[-1].rpartition(".")[2]
    near = near_matches(match[1], _arguments(owner[-1]))
    return f"--{key}.{match[1]}: {name} has no argument {match[1]!r}. {near}"


def _unknown_class(message: str, options: Sequence[str]) -> str | None:
    match = re.search(r"Expected a dot import path string: (\S+)", message)
    if match is None:
        return None
    key = _full_key(message)
    # The type is given only if it is one of several; optimisers and schedules are callables that create them.
    bases = re.findall(r"<class '([\w.]+)'>|Union\[([\w.]+)|\], ([\w.]+)\]", message[: match.start()])
    names = {name for base in bases for part in base if "." in part for name in _subclasses(_import(part))}
    if key.endswith("optimizer"):
        names = _subclasses(_import("torch.optim.Optimizer"))
    literals = {
        name for listed in re.findall(r"Literal\[([^\]]+)\]", message) for name in re.findall(r"'(\w+)'", listed)
    }
    near = near_matches(match[1], names | literals)
    remedy = "A class of your own is given by its import path, such as 'my_module.MyClass'."
    return f"--{key} {match[1]}: unknown. {near} {remedy}"


def _wrong_literal(message: str, options: Sequence[str]) -> str | None:
    match = re.search(r"Expected a typing\.Literal\[([^\]]+)\]\. Got value: (.*)", message)
    if match is None:
        return None
    known = re.findall(r"'([^']+)'", match[1])
    return f"--{_full_key(message)} {match[2]}: unknown. {near_matches(match[2], known)}"


def _wrong_value(message: str, options: Sequence[str]) -> str | None:
    # In a nested message, the innermost "Got value" counts; the outer ones repeat the whole class.
    given = re.search(r"Got value: (.*)", message) or re.search(r"Given value: (.*)", message)
    expected = re.findall(r"Expected an? <class '(?:\w+\.)*(\w+)'>", message)
    if given is None or not expected:
        return None
    keys = _full_key(message)
    if "." in keys and len(expected) > 1 and expected[-1] == "NoneType":
        # The outermost alternative is the class itself or nothing.
        expected = expected[:-1] if re.search(r"<class '[\w.]+'>, <class 'NoneType'>\]", message) else expected
    literals = [value for listed in re.findall(r"Literal\[([^\]]+)\]", message) for value in listed.split(", ")]
    if literals and set(expected) <= {"NoneType", "dict"} and given[1].isidentifier():
        known = list(dict.fromkeys(name.strip("'") for name in literals))
        return f"--{keys} {given[1]}: unknown. {near_matches(given[1], known)}"
    kinds = " or ".join(dict.fromkeys([*expected, *literals])).replace("NoneType", "null")
    return f"--{keys} {given[1]}: expected {kinds}."


def _full_key(message: str) -> str:
    return ".".join(re.findall(r'Parser key "([^"]+)"', message)).replace(".init_args", "") or "?"


def _import(path: str) -> type:
    module, _, name = path.rpartition(".")
    imported: type = getattr(import_module(module), name)
    return imported


def _arguments(path: str) -> list[str]:
    owner: type | Callable[..., object] = _import(path)
    names: list[str] = ArgumentParser().add_class_arguments(owner, fail_untyped=False)
    return names


def _subclasses(parent: type) -> set[str]:
    """Return the names of the concrete subclasses, at any depth."""
    names: set[str] = set()
    children: list[type] = parent.__subclasses__()
    for child in children:
        names |= _subclasses(child)
        if not getattr(child, "__abstractmethods__", None) and not child.__name__.startswith("_"):
            names.add(child.__name__)
    return names
