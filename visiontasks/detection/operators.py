"""Steps of a detector that are exported as single operators, for runtimes that implement them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_kept = ContextVar("_kept", default=False)


@contextmanager
def keep_operators() -> Iterator[None]:
    """Keep ``visiontasks::suppress`` and ``visiontasks::align`` as operators in graphs traced within the context."""
    token = _kept.set(True)
    try:
        yield
    finally:
        _kept.reset(token)


def operators_are_kept() -> bool:
    """Return whether they are to be kept."""
    return _kept.get()
