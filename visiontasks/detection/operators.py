"""Steps of a detector that a runtime has one operator for, which a graph of smaller ones cannot name."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_kept = ContextVar("_kept", default=False)


@contextmanager
def keep_operators() -> Iterator[None]:
    """Have graphs that are traced meanwhile hold ``visiontasks::suppress`` and ``visiontasks::align`` as operators."""
    token = _kept.set(True)
    try:
        yield
    finally:
        _kept.reset(token)


def operators_are_kept() -> bool:
    """Tell whether they are to be kept."""
    return _kept.get()
