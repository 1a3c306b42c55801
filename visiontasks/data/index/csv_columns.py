"""Reading of tables: their encoding and separator, the meaning of their columns, and their rows."""

import codecs
import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import NamedTuple

CORNERS = ("xmin", "ymin", "xmax", "ymax")
MEANINGS = ("file", "class", "split", "width", "height", *CORNERS)
"""What a column can mean."""
NAMES = {"file": ("file", "filename", "image", "path"), "class": ("class", "label")}
"""Usual names of the columns with a meaning, in lower case; the others have that of their meaning."""
_LONGEST = 2**31 - 1
_SAMPLE = 1 << 16
_HELD = {"1", "1.0", "True", "true", "TRUE"}
_FLAGS = {"0", "0.0", "False", "false", "FALSE", *_HELD}


class Header(NamedTuple):
    """The names of the columns.

    Attributes:
        written: The names, without space around them and with single spaces inside.
        columns: Position of the column of each meaning; a meaning that several columns have is in ``ambiguous``.
        ambiguous: Names of the columns of each meaning that several have.
        missing: Columns that were asked for by name, but do not exist.
    """

    written: list[str]
    columns: dict[str, int]
    ambiguous: dict[str, list[str]]
    missing: list[str]

    def others(self) -> list[int]:
        """Return the positions of the columns without a meaning."""
        return [position for position in range(len(self.written)) if position not in self.columns.values()]


class Rows(NamedTuple):
    """Rows of a table, each with the number of its last line."""

    header: Header
    lines: list[int]
    cells: list[list[str]]

    def column(self, meaning: str) -> list[str]:
        """Return the cells of a column; empty ones if there is no such column."""
        position = self.header.columns.get(meaning)
        return [""] * len(self.cells) if position is None else [row[position].strip() for row in self.cells]

    def take(self, keep: Sequence[int]) -> "Rows":
        """Select rows by position."""
        return Rows(self.header, [self.lines[row] for row in keep], [self.cells[row] for row in keep])


@contextmanager
def open_table(table: Path, columns: Mapping[str, str]) -> Iterator[tuple[Header, Iterator[tuple[int, list[str]]]]]:
    """Open a table, and read its header; the rows follow with the number of their last line.

    Args:
        table: The file: UTF-8, or UTF-16 with its mark; separated by commas, semicolons or tabs.
        columns: Name of the column of some meanings.

    Raises:
        OSError: The file cannot be read.
        UnicodeDecodeError: It has another encoding.
        csv.Error: It is not a table.
    """
    limit = csv.field_size_limit(_LONGEST)
    try:
        with table.open("rb") as opened:
            wide = opened.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            file = TextIOWrapper(opened, "utf-16" if wide else "utf-8-sig", newline="")
            sample = file.read(_SAMPLE)
            file.seek(0)
            delimiter = max(",;\t", key=lambda mark: len(_first_row(sample, mark)))
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
            header = read_header(next(reader, []), columns)
            yield header, ((reader.line_num, row) for row in reader if row)
    finally:
        csv.field_size_limit(limit)


def read_header(cells: Sequence[str], columns: Mapping[str, str]) -> Header:
    """Find the meaning of columns by their names, in any case.

    Args:
        cells: The first row.
        columns: Name of the column of some meanings, in place of the usual ones.

    Example:
        >>> read_header(["ID ", "Label", "age"], {"file": "id"}).columns
        {'file': 0, 'class': 1}
    """
    written = [" ".join(cell.split()) for cell in cells]
    lowered = [name.lower() for name in written]
    asked = {meaning: " ".join(name.split()).lower() for meaning, name in columns.items()}
    found: dict[str, int] = {}
    ambiguous: dict[str, list[str]] = {}
    for meaning in MEANINGS:
        names = (asked[meaning],) if meaning in asked else NAMES.get(meaning, (meaning,))
        taken = {name for other, name in asked.items() if other != meaning}
        places = [place for place, name in enumerate(lowered) if name in names and name not in taken]
        if len(places) > 1:
            ambiguous[meaning] = [lowered[place] for place in places]
        elif places:
            found[meaning] = places[0]
    missing = [columns[meaning] for meaning in asked if meaning not in found and meaning not in ambiguous]
    return Header(written, found, ambiguous, missing)


def flag_columns(header: Header, rows: Iterable[Sequence[str]]) -> list[int]:
    """Find the columns that hold nothing but 0 and 1, of which each stands for a class.

    Args:
        header: The header of the table.
        rows: Its rows, of which no more are read than needed.

    Returns:
        Their positions: at least two, otherwise none.
    """
    positions = [position for position in header.others() if header.written[position]]
    empty = True
    for row in rows:
        empty = False
        positions = [position for position in positions if position < len(row) and row[position].strip() in _FLAGS]
        if len(positions) < 2:
            return []
    return [] if empty else positions


def is_held(cell: str) -> bool:
    """Return whether a cell of 0 and 1 says that the image has the class."""
    return cell.strip() in _HELD


def _first_row(sample: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(StringIO(sample, newline=""), delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []
