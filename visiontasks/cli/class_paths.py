"""Rewriting of jsonargparse errors about the import path of a class into one readable message."""

import re

from visiontasks.errors import ArgumentError
from visiontasks.import_paths import import_class

_PATH = r"[A-Za-z_]\w*(?:\.\w+)+"


def explain_path(message: str, key: str) -> str | None:
    """Rewrite an error about a class that cannot be imported, is no subclass, is ambiguous, or lacks an option.

    Args:
        message: The message of jsonargparse.
        key: The flag that was given, without dashes.

    Returns:
        What was found and what was expected; None if the message is about something else.

    Example:
        >>> explain_path("'' expects a class: No module named 'no'. Got value: no.Such", "model.optimizer")
        "--model.optimizer: 'no.Such' cannot be imported: No module named 'no'. A class or function is given by ..."
    """
    if several := re.search(r"Multiple subclasses with name (\w+).* ambiguity: (.+)\.", message):
        return f"--{key} {several[1]}: there are several of that name. Give the path of one: {several[2]}."
    if wrong := re.search(rf"Expected '({_PATH})' to be a subclass of <class '(?:\w+\.)*(\w+)'>", message):
        return f"--{key} {wrong[1]}: expected a subclass of {wrong[2]}."
    given = re.findall(rf"(?:[Vv]alue: (?:Namespace\(class_path=')?|class_path ')({_PATH})", message)
    if absent := re.search(r"arguments are required: ([\w, ]+)", message):
        (name,) = re.findall(rf"class_path='{_PATH}", message[absent.end() :])[:1] or [key]
        flags = ", ".join(f"--{key}.{option}" for option in absent[1].split(", "))
        return f"--{key} {name.rpartition('.')[2]} needs {flags}."
    if not re.search(r"No module named|has no attribute|cannot import|invalid syntax|Unexpected import", message):
        return None
    for path in given:
        try:
            import_class(path)
        except ArgumentError as error:
            return f"--{key}: {error}"
    return None
