"""Checkpoints of other programs: tensors beside values of classes that are never imported, let alone made."""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import IO, Any, cast

import torch
from torch import Tensor

from visiontasks.serialization import BinaryFile

_PLAIN = re.compile(r"(collections|datetime|decimal|numpy|pathlib|uuid)\.")
"""Modules of plain values, which a pickle makes by calls. Objects of other classes it makes without."""


class _Value:
    """Stands in the place of a plain value."""

    def __setstate__(self, state: object) -> None:
        """Forget what the value would have held."""


class _StandIn(type):
    """A class that stands for a class or function of another program, whose name it has.

    An object of it is an empty dictionary, so that tensors which are put into it are found. A call, which is how a
    pickle runs code, is refused; for plain values it does nothing.
    """

    def __call__(cls, *args: object) -> Any:  # noqa: ANN401 (no object of the class)
        if not _PLAIN.match(cls.__name__):
            message = f"GLOBAL {cls.__name__} is called"
            raise UnpicklingError(message)
        return OrderedDict() if cls.__name__.startswith("collections.") else _Value()


@contextmanager
def values_left_out(file: BinaryFile) -> Iterator[None]:
    """Let :func:`torch.load` read a file with ``weights_only=True`` that holds values of other programs.

    Every class or function that the file names, except those of tensors and plain values, is replaced by a stand-in
    that does nothing. Files that call one to make an object are still refused, and so are all that torch blocks.

    Args:
        file: A file saved by torch; its position is not kept.
    """
    file.seek(0)
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(cast(IO[bytes], file))
    except Exception:
        names = []
    replaced: list[Any] = [(_StandIn(name, (), {"__new__": lambda cls, *args: OrderedDict()}), name) for name in names]
    with torch.serialization.safe_globals([*replaced, (_Value, f"{__name__}._Value")]):
        yield


def find_tensors(contents: object, prefix: str = "") -> dict[str, Tensor]:
    """Collect the tensors of nested dictionaries, and of modules that were saved whole.

    Args:
        contents: What was read.
        prefix: What to put in front of their names.

    Returns:
        The tensors, by the keys of the dictionaries, joined with points.

    Example:
        >>> list(find_tensors({"epoch": 3, "model": {"conv.weight": torch.ones(1)}}))
        ['model.conv.weight']
    """
    if not isinstance(contents, Mapping):
        return {}
    tensors: dict[str, Tensor] = {}
    for key, value in contents.items():
        if isinstance(value, Tensor):
            tensors[f"{prefix}{key}"] = value.detach()
        else:
            tensors |= find_tensors(value, f"{prefix}{key}.")
    # A module is an empty dictionary here, whose attributes are those of the module.
    attributes = getattr(contents, "__dict__", {})
    for kind in ("_parameters", "_buffers"):
        tensors |= find_tensors(attributes.get(kind), prefix)
    return tensors | find_tensors(attributes.get("_modules"), prefix)
