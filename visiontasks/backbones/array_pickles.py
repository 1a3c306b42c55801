"""Pickles of NumPy arrays, such as Detectron2's files ``.pkl``, read without running anything that they name.

The classes and functions that such a pickle calls are replaced by those below, of which none does more than to keep
numbers; a pickle that names any other is refused.
"""

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import IO, Any, cast

import numpy as np
import torch

from visiontasks.errors import CheckpointError
from visiontasks.serialization import BinaryFile, name_of

_KINDS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}


class _Type:
    """Stands for ``numpy.dtype``; only numbers are admitted."""

    def __init__(self, kind: object, *_: object) -> None:
        if kind not in _KINDS:
            message = f"arrays of {kind!r} are no numbers"
            raise pickle.UnpicklingError(message)
        self.kind = np.dtype(str(kind))

    def __setstate__(self, state: tuple[object, ...]) -> None:
        """Take over the order of bytes."""
        if state[1] in ("<", ">"):
            self.kind = self.kind.newbyteorder(cast(Any, state[1]))


class _Array:
    """Stands for ``numpy.ndarray``."""

    value: np.ndarray

    def __init__(self, *_: object) -> None:
        self.value = np.zeros(0)

    def __setstate__(self, state: tuple[Any, tuple[int, ...], _Type, bool, bytes | bytearray | str]) -> None:
        """Take over shape, type and numbers."""
        _, shape, kind, columns_first, content = state
        # Python 2 wrote bytes as text.
        raw = content.encode("latin1") if isinstance(content, str) else bytes(content)
        self.value = np.frombuffer(raw, kind.kind).reshape(shape, order="F" if columns_first else "C")


def _scalar(kind: _Type, content: bytes | bytearray | str) -> float:
    array = _Array()
    array.__setstate__((None, (), kind, False, content))
    return cast(float, array.value.item())


def _from_buffer(content: bytes | bytearray, kind: _Type, shape: tuple[int, ...], order: str) -> _Array:
    array = _Array()
    array.__setstate__((None, shape, kind, order == "F", content))
    return array


def _no_bytes() -> bytes:
    return b""


def _encoded(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        message = f"bytes in the encoding {encoding!r}"
        raise pickle.UnpicklingError(message)
    return text.encode("latin1")


_KNOWN: dict[str, Callable[..., object]] = {
    "numpy.ndarray": _Array,
    "numpy.dtype": _Type,
    "multiarray._reconstruct": _Array,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _from_buffer,
    "collections.OrderedDict": OrderedDict,
    "_codecs.encode": _encoded,
    "__builtin__.bytes": _no_bytes,  # as bytes without any are written for Python 2
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 (as in pickle)
        # numpy.core became numpy._core.
        known = f"{module.removeprefix('numpy.core.').removeprefix('numpy._core.')}.{name}"
        if known not in _KNOWN:
            message = f"GLOBAL {module}.{name}"
            raise pickle.UnpicklingError(message)
        return _KNOWN[known]

    def persistent_load(self, pid: object) -> Any:  # noqa: ANN401 (as in pickle)
        message = "a persistent object"
        raise pickle.UnpicklingError(message)


def is_array_pickle(file: BinaryFile) -> bool:
    """Return whether a file is a pickle, but none of those that torch wrote before its archives."""
    file.seek(0)
    start = file.read(32)
    file.seek(0)
    # Torch's begin with a number that marks them.
    return start[:1] == b"\x80" and (0x1950A86A20F9469CFC6C).to_bytes(10, "little") not in start


def read_array_pickle(file: BinaryFile) -> Any:  # noqa: ANN401 (plain values)
    """Read a pickle of arrays and plain values.

    Args:
        file: The file.

    Returns:
        The values, with tensors in the place of arrays.

    Raises:
        CheckpointError: If the file is damaged, or holds anything else.
    """
    file.seek(0)
    name = name_of(file)
    try:
        return _with_tensors(_Unpickler(cast(IO[bytes], file), encoding="latin1").load())
    except pickle.UnpicklingError as error:
        message = (
            f"{name!r} holds something else than arrays of numbers and plain values ({error}), and was refused, "
            "because loading it could run code. Do not load this file if you do not know its origin."
        )
        raise CheckpointError(message) from error
    except Exception as error:  # which one depends on the damage
        message = f"{name!r} is damaged or no pickle of arrays ({type(error).__name__})."
        raise CheckpointError(message) from error


def _with_tensors(value: object) -> object:
    if isinstance(value, _Array):
        array = value.value
        little = array.astype(array.dtype.newbyteorder("=")) if array.dtype.byteorder not in "=|" else array
        return torch.from_numpy(np.ascontiguousarray(little).copy().reshape(array.shape))
    if isinstance(value, Mapping):
        return {str(key): _with_tensors(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_tensors(item) for item in value]
    if isinstance(value, _Type):
        message = "a type of numbers alone"
        raise pickle.UnpicklingError(message)
    return value
