"""Names of a package that are imported when they are first used."""

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

LazyNames = tuple[list[str], Callable[[str], object], Callable[[], list[str]]]


def lazy_names(package: str) -> LazyNames:
    """Create the ``__all__``, ``__getattr__`` and ``__dir__`` of a package that imports its names on first use.

    What the package lists below ``if TYPE_CHECKING:``, as ``from module import name as name``, is all that is written:
    type checkers and editors read it as it stands, and a running program takes from it where each name comes from.

    Args:
        package: Name of the package, which is being imported.

    Raises:
        ImportError: If the package is installed without its source.
    """
    loader: Any = sys.modules[package].__loader__
    source = loader.get_source(package)
    if source is None:
        message = f"{package} is installed without its source, which lists its names; install it from a wheel"
        raise ImportError(message)
    modules = _imported_for_types(source)

    def get(name: str) -> object:
        if name not in modules:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(import_module(modules[name]), name)

    def names() -> list[str]:
        return sorted(modules)

    return names(), get, names


def _imported_for_types(source: str) -> dict[str, str]:
    """Return the module of each name that is imported below ``if TYPE_CHECKING:``."""
    blocks = [
        node.body
        for node in ast.parse(source).body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    imports = [node for body in blocks for node in body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}
