"""Constructor arguments of tasks and their parts, recorded so that they can be saved in a checkpoint."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor


class _Arguments:
    """The arguments of an object's constructors, to be passed again when a checkpoint is loaded.

    For the outermost constructor all arguments from the caller are recorded. For the base constructors, to which it
    passes ``**kwargs``, the names of arguments from ``*args`` are recorded, and the defaults of arguments that nobody
    passed: a default that changes in a later release must not change the model in a checkpoint. Values that a subclass
    passes to its base are not recorded, since it will pass them again.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._positional: tuple[Any, ...] = ()
        self._outermost = True
        self._passed_on = True

    def note(self, signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Record the arguments of one constructor; the outermost is called first."""
        given = signature.bind(None, *args, **kwargs).arguments
        for name, parameter in list(signature.parameters.items())[1:]:
            if parameter.kind is parameter.VAR_KEYWORD:
                if self._outermost:
                    self.values |= given.get(name, {})
            elif parameter.kind is parameter.VAR_POSITIONAL:
                if self._outermost:
                    self._positional = given.get(name, ())
            elif name in given:
                if self._outermost or any(given[name] is value for value in self._positional):
                    self.values.setdefault(name, given[name])
            elif self._passed_on:
                self.values.setdefault(name, parameter.default)
        self._outermost = False
        self._passed_on &= any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values())


def noting(constructor: Callable[..., None]) -> Callable[..., None]:
    """Wrap a constructor so that its arguments are recorded before it runs.

    Args:
        constructor: The ``__init__`` of a class.

    Returns:
        The wrapped constructor. The base constructor retrieves the arguments with :func:`noted_arguments`.
    """
    signature = inspect.signature(constructor)

    @functools.wraps(constructor)
    def noting(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (of any class)
        # A wrong call is not recorded: the constructor itself raises the error.
        with contextlib.suppress(TypeError):
            self.__dict__.setdefault("_arguments", _Arguments()).note(signature, args, kwargs)
        constructor(self, *args, **kwargs)

    return noting


def note_constructor(owner: type) -> None:
    """Wrap the constructor of a class, if it has one of its own, by :func:`noting`."""
    if "__init__" in owner.__dict__:
        owner.__init__ = noting(owner.__init__)  # type: ignore[misc]  # the same, but records its arguments


def noted_arguments(instance: Any) -> dict[str, Any]:  # noqa: ANN401 (of any class)
    """Return the recorded constructor arguments of an instance by name, and clear the record."""
    arguments: _Arguments = instance.__dict__.pop("_arguments", _Arguments())
    return arguments.values


def made_with(instance: Any) -> dict[str, object] | None:  # noqa: ANN401 (of any class)
    """Return the recorded constructor arguments of an instance as plain values, and clear the record.

    Returns:
        The values by name; None if not all of them are plain.
    """
    values, others = plain_part(noted_arguments(instance))
    return None if others else values


def plain(value: object) -> object:
    """Convert an argument to plain values that a checkpoint can safely hold.

    Args:
        value: None, a bool, number, string, path, tensor or array, or lists, tuples and mappings of them.

    Returns:
        The value as plain Python values, with tensors and arrays as lists.

    Raises:
        TypeError: If the value is of any other type.

    Example:
        >>> import torch
        >>> plain({"weights": torch.tensor([1.0, 2.0]), "filters": (8, 16)})
        {'weights': [1.0, 2.0], 'filters': (8, 16)}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    # Subclasses, such as enumerations, are reduced to the base type: other classes are refused when the file is read.
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Tensor | np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        items = [plain(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    message = f"{type(value).__name__} is not a plain value"
    raise TypeError(message)


def plain_part(values: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    """Convert those arguments that can be saved safely to plain values.

    Args:
        values: Arguments by name.

    Returns:
        The converted arguments, and the names of the others.
    """
    saved, unsaved = {}, []
    for name, value in values.items():
        try:
            saved[name] = plain(value)
        except TypeError:
            unsaved.append(name)
    return saved, unsaved
