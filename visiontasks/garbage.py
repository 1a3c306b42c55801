"""Python's collection of garbage, which searches all that lives."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Disable the collection while much is made that stays: millions of records, or the modules of a large library.

    It would traverse them again and again, and take most of the time of parsing, or a fifth of that of imports.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
