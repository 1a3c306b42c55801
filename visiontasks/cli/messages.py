"""Turns what jsonargparse says of a wrong flag or value into one readable message."""

import re
from collections.abc import Callable, Sequence
from importlib import import_module

from jsonargparse import ArgumentParser

from visiontasks.errors import near_matches


def explain(message: str, options: Sequence[str]) -> str:
    """Rewrite an error of the parser.

    Args:
        message: What jsonargparse says.
        options: The flags that the parser knows.

    Returns:
        What was found, what was expected, and near matches; the message itself where its form is unknown.

    Example:
        >>> explain("Unrecognized arguments: --trainer.max_epoch 3", ["--trainer.max_epochs", "--trainer.devices"])
        "There is no option '--trainer.max_epoch'. Did you mean '--trainer.max_epochs'?"
    """
    for rewrite in (_unknown_flag, _unknown_argument, _unknown_class, _wrong_literal, _wrong_value):
        text = rewrite(message, options)
        if text is not None:
            return text
    return message.strip()


def _unknown_flag(message: str, options: Sequence[str]) -> str | None:
    found = re.search(r"[Uu]nrecognized arguments?: (\S+)", message)
    if found is None:
        return None
    flag = found[1].partition("=")[0]
    if flag.endswith((".num_classes", ".in_channels")):
        return f"{flag} comes from the data and is not given: it is what the data module says."
    return f"There is no option {flag!r}. {near_matches(flag, options)}"


def _unknown_argument(message: str, options: Sequence[str]) -> str | None:
    found = re.search(r"Option '([^']+)' is not accepted", message)
    owner = re.search(r"Problem with given class_path '([^']+)'", message)
    if found is None or owner is None:
        return None
    name = owner[1].rpartition(".")[2]
    return f"--{_key(message)}.{found[1]}: {name} has no argument {found[1]!r}. {near_matches(found[1], _arguments(owner[1]))}"


def _unknown_class(message: str, options: Sequence[str]) -> str | None:
    found = re.search(r"Expected a dot import path string: (.+)", message) or re.search(
        r"Problem with given class_path '([^']+)':\s+(?:Unexpected import path|No module named|Failed to import)", message
    )
    base = re.search(r"<class '([^']+)'>", message)
    if found is None or base is None:
        return None
    parent = _import(base[1])
    return (
        f"--{_key(message)} {found[1]}: there is no such {base[1].rpartition('.')[2]}. {near_matches(found[1], _subclasses(parent))} "
        "A class of your own is given by its import path, such as 'my_module.MyClass'."
    )


def _wrong_literal(message: str, options: Sequence[str]) -> str | None:
    found = re.search(r"Expected a typing\.Literal\[([^\]]+)\]\. Got value: (.*)", message)
    if found is None:
        return None
    known = re.findall(r"'([^']+)'", found[1])
    return f"--{_full_key(message)} {found[2]}: expected one of {', '.join(known)}. {near_matches(found[2], known)}"


def _wrong_value(message: str, options: Sequence[str]) -> str | None:
    given = re.search(r"Given value: (.*)|Got value: (.*)", message)
    expected = re.findall(r"Expected an? (<class '[^']+'>|[A-Z]\w+|\w+\.[\w.\[\], |]+)", message)
    if given is None or not expected:
        return None
    nested = re.search(r"NestedArg\(key='[^']*', val='([^']*)'\)", given[0])
    value = nested[1] if nested else given[1] or given[2]
    kinds = dict.fromkeys(re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", kind) for kind in expected)
    return f"--{_full_key(message)} {value}: expected {' or '.join(kinds).replace('NoneType', 'null')}."


def _key(message: str) -> str:
    found = re.search(r'Parser key "([^"]+)"', message)
    return found[1] if found else "?"


def _full_key(message: str) -> str:
    return ".".join(re.findall(r'Parser key "([^"]+)"', message)).replace(".init_args", "")


def _import(path: str) -> type:
    module, _, name = path.rpartition(".")
    imported: type = getattr(import_module(module), name)
    return imported


def _arguments(path: str) -> list[str]:
    owner: type | Callable[..., object] = _import(path)
    names: list[str] = ArgumentParser().add_class_arguments(owner, fail_untyped=False)
    return names


def _subclasses(parent: type) -> set[str]:
    """Name the concrete subclasses, at any depth."""
    found = set()
    for child in parent.__subclasses__():
        found |= _subclasses(child)
        if not getattr(child, "__abstractmethods__", None) and not child.__name__.startswith("_"):
            found.add(child.__name__)
    return found
