"""Classes and functions by their import paths, such as ``my_module.MyTask``."""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from visiontasks.errors import ArgumentError, near_matches


def import_path(imported: type) -> str:
    """Return the path by which :func:`import_class` imports a class."""
    return f"{imported.__module__}.{imported.__qualname__}"


def import_class(path: str) -> type:
    """Import a class by its path.

    Args:
        path: Such as ``"my_module.MyTask"``.

    Returns:
        The class.

    Raises:
        ArgumentError: If there is none.
    """
    imported = import_callable(path)
    if not isinstance(imported, type):
        message = f"{path!r} is a {type(imported).__name__}; expected a class."
        raise ArgumentError(message)
    return imported


def import_callable(path: str) -> Callable[..., Any]:
    """Import a class or a function by its path.

    Args:
        path: Such as ``"my_module.my_function"``.

    Returns:
        The class or function.

    Raises:
        ArgumentError: If there is none.
    """
    module, _, name = path.rpartition(".")
    try:
        home = import_module(module)
    except Exception as error:  # whatever the module raises when it is run
        reason = error if isinstance(error, ImportError | ValueError) else f"{type(error).__name__}: {error}"
        message = (
            f"{path!r} cannot be imported: {reason}. A class or function is given by its import path, such as "
            "'my_module.MyClass', beside where Python is called or in an installed package."
        )
        raise ArgumentError(message) from error
    imported: Callable[..., Any] | None = getattr(home, name, None)
    if not callable(imported):
        known = [key for key in dir(home) if not key.startswith("_") and callable(getattr(home, key))]
        message = f"Module {module!r} has no class or function {name!r}. {near_matches(name, known)}"
        raise ArgumentError(message)
    return imported


def import_maker(path: str, kind: type) -> Callable[..., Any]:
    """Import what makes a part of a network by its path: a subclass, or a function of a module that knows the class.

    A checkpoint may name it, so nothing else is ever called.

    Args:
        path: Such as ``"my_module.MyBackbone"``.
        kind: Class of what is made.

    Returns:
        The class or function.

    Raises:
        ArgumentError: If there is none, or it makes something else.
    """
    maker = import_callable(path)
    home = sys.modules.get(str(getattr(maker, "__module__", None)))
    known = [maker] if isinstance(maker, type) else list(vars(home).values()) if home else []
    if not any(isinstance(candidate, type) and issubclass(candidate, kind) for candidate in known):
        message = (
            f"{path!r} is no {kind.__name__}; expected a subclass of {import_path(kind)}, or a function that returns "
            f"one, in a module that imports {kind.__name__} or a subclass."
        )
        raise ArgumentError(message)
    return maker


def check_made(part: object, path: str, kind: type) -> None:
    """Check that a function of a user's own made what it has to make.

    Args:
        part: What it returned.
        path: Its import path.
        kind: Class of what it has to make.

    Raises:
        ArgumentError: If it made something else.
    """
    if not isinstance(part, kind):
        message = f"{path!r} returned a {type(part).__name__}; expected a {import_path(kind)}."
        raise ArgumentError(message)
