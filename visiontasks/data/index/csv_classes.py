"""Classes in the cells of tables: one in each, or several that a separator divides."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

_LISTS = "|;"
"""Separators that hardly occur in the name of a class."""
_OTHERS = ",/+& "


def split_cell(cell: str, separator: str | None) -> list[str]:
    """Return the classes in a cell, each once; brackets around them and quotes around each are left out.

    Args:
        cell: The cell.
        separator: What divides classes; None or "" for one class in a cell.

    Example:
        >>> split_cell("['star', 'circle']", ",")
        ['star', 'circle']
        >>> split_cell("hot dog", "")
        ['hot dog']
    """
    if not separator or not cell:
        return [cell] if cell else []
    inside = cell[1:-1] if cell[0] + cell[-1] in ("[]", "()", "{}") else cell
    names = [part.strip().strip("'\"").strip() for part in inside.split(separator)]
    return list(dict.fromkeys(name for name in names if name))


def refused_cells(cells: Iterable[str]) -> Mapping[str, tuple[str, str]]:
    """Find cells that look like several classes; they are to be divided by a separator that is stated.

    Args:
        cells: The cells.

    Returns:
        What is wrong with a cell, and the remedy, for each of those.

    Example:
        >>> [*refused_cells(["cat", "dog", "cat dog", "hot dog"])]
        ['cat dog']
    """
    known = set(cells) - {""}
    refused: dict[str, tuple[str, str]] = {}
    # A comma is part of many names: it divides classes where its parts occur in several cells.
    counts = Counter(part for cell in known if "," in cell for part in set(_parts(cell, ",")))
    shared = {part for part, count in counts.items() if count > 1}
    for cell in sorted(known):
        separator = _separator(cell, known, shared)
        if cell.startswith(("[{", "{")):
            remedy = "It is probably an export of Label Studio or of VGG Image Annotator: export COCO there instead."
            refused[cell] = ("cell of a class holds JSON", remedy)
        elif separator is not None:
            remedy = f"Say separator={separator!r} to divide them, or separator='' if it is one class."
            refused[cell] = ("several classes in one cell", remedy)
    return refused


def _separator(cell: str, known: set[str], shared: set[str]) -> str | None:
    """Return the separator that probably divides the classes in a cell; None for a single class."""
    ends = cell[0] + cell[-1]
    if ends == "[]" or (ends == "()" and any(mark in cell for mark in ",'\"")):
        inside: list[str] = [mark for mark in ",;| " if mark in cell]
        return inside[0] if inside else ","
    for mark in _LISTS + _OTHERS:
        parts = _parts(cell, mark)
        if len(parts) > 1 and (mark in _LISTS or known.issuperset(parts) or (mark == "," and shared.issuperset(parts))):
            return mark
    return None


def _parts(cell: str, mark: str) -> Sequence[str]:
    return [part.strip() for part in cell.split(mark) if part.strip()]
