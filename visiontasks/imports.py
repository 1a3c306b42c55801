"""Classes by their import paths."""

from importlib import import_module

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
    module, _, name = path.rpartition(".")
    try:
        home = import_module(module)
    except (ImportError, ValueError) as error:
        message = (
            f"{path!r} cannot be imported: {error}. A class is given by its import path, such as 'my_module.MyTask'."
        )
        raise ArgumentError(message) from error
    imported = getattr(home, name, None)
    if not isinstance(imported, type):
        message = f"Module {module!r} has no class {name!r}. {near_matches(name, vars(home))}"
        raise ArgumentError(message)
    return imported
