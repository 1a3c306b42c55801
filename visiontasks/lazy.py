"""Names of a package that are imported when they are first used."""

from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Create the ``__getattr__`` and ``__dir__`` of a package that imports its names on first use.

    Args:
        package: Name of the package.
        homes: The module that each public name comes from.

    Example:
        >>> get, names = lazy_names("math_again", {"sqrt": "math"})
        >>> get("sqrt")(9.0), names()
        (3.0, ['sqrt'])
    """

    def get(name: str) -> object:
        if name not in homes:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(import_module(homes[name]), name)

    def names() -> list[str]:
        return sorted(homes)

    return get, names
