"""Tables of image files with classes and, optionally, boxes."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from visiontasks.data.index.boxes import BoxFormat, clean_boxes
from visiontasks.data.index.csv_classes import refused_cells, split_cell
from visiontasks.data.index.csv_columns import CORNERS, NAMES, Header, Rows, flag_columns, is_held, open_table
from visiontasks.data.index.csv_values import is_number, read_boxes, read_sizes
from visiontasks.data.index.file_names import found_files, missing_files, unsafe_name
from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.data.index.source import build_index, encode_labels
from visiontasks.data.index.splits import split_of
from visiontasks.errors import near_matches
from visiontasks.garbage import without_garbage_collection


class _Objects(NamedTuple):
    """Classes, each with its row."""

    rows: Int64[np.ndarray, " objects"]
    names: list[str]


@dataclass(frozen=True)
class CsvTable:
    """A table with one row per object: ``file``, ``class``, and optionally ``xmin``, ``ymin``, ``xmax``, ``ymax``.

    Rows of the same file are objects of one image. A row without class and box is an image without objects. The first
    row names the columns, in any order and case; ``filename``, ``image`` and ``path`` may replace ``file``, and
    ``label`` may replace ``class``. ``width`` and ``height`` give the size of the image in pixels. In place of a column
    of classes, each class may have a column of 0 and 1. Columns are separated by commas, semicolons or tabs.

    Args:
        table: The file, in UTF-8, or in UTF-16 with its mark.
        images: Folder that the file names in it are relative to.
        split: Split whose rows to take, by the column ``split``, in which ``val`` may be called valid, validation or
            dev, and so on, in any case; None takes all rows.
        box_format: Notation of the boxes. For ``xywh`` the columns ``xmax`` and ``ymax`` hold width and height.
        class_names: Classes in the order of the labels; None takes the names in all rows of all splits, sorted, or
            those of the columns of 0 and 1, in their order.
        needs_boxes: Whether a table without box columns is an error.
        needs_class: Whether a table without a class column is an error.
        columns: Pairs of the meaning of a column, such as ``file``, and its name.
        separator: What divides the classes in one cell; "" if nothing does, None refuses cells that look like several.
    """

    table: Path
    images: Path
    split: str | None = None
    box_format: BoxFormat = "xyxy"
    class_names: tuple[str, ...] | None = None
    needs_boxes: bool = False
    needs_class: bool = True
    columns: tuple[tuple[str, str], ...] = ()
    separator: str | None = None

    def sources(self) -> Sequence[Path]:
        """Return the table."""
        return [self.table]

    def parse(self) -> Parsed:
        """Read the table and find its images."""
        with without_garbage_collection():
            return self._parse()

    def _parse(self) -> Parsed:
        problems: list[Problem] = []
        rows = self._read(problems)
        divided = self._divided(rows, problems)
        flags = self._flags(rows, problems) if divided is None else []
        class_names = self.class_names
        if class_names is None and divided is not None:
            class_names = tuple(sorted({name for names in divided.values() for name in names}))
        elif class_names is None:
            class_names = tuple(rows.header.written[position] for position in flags)
        if self.split is not None:
            rows = self._of_split(rows, self.split, problems)
        rows = self._safe(rows, problems)
        positions: dict[str, int] = {}
        files = rows.column("file")
        image_of = np.fromiter((positions.setdefault(file, len(positions)) for file in files), np.int64, len(files))
        sizes, found = read_sizes(rows, image_of, len(positions), self.table)
        problems += found
        boxes, written = read_boxes(rows)
        objects = _flagged(rows, flags)
        if divided is not None:
            objects = self._objects(rows, divided, boxes, written, problems)

        def place(position: int) -> tuple[str, str]:
            return str(self.table), f"line {rows.lines[objects.rows[position]]}"

        known, labels, found = encode_labels(objects.names, class_names, place)
        problems += found
        keep, kept = labels >= 0, None
        if boxes is not None:
            object_sizes = sizes[image_of[objects.rows]]
            clean = clean_boxes(boxes[objects.rows], object_sizes, self.box_format, str(self.table), place)
            problems += clean.problems
            keep &= clean.keep
            kept = clean.boxes[keep]
        index = build_index(
            self.images,
            found_files(self.images, positions),
            known,
            image_of=image_of[objects.rows][keep],
            labels=labels[keep],
            boxes=kept,
            sizes=sizes,
        )
        return Parsed(index, [*problems, *missing_files(index, str(self.table))])

    def _read(self, problems: list[Problem]) -> Rows:
        """Read all rows."""
        nothing = Rows(Header([], {}, {}, []), [], [])
        try:
            with open_table(self.table, dict(self.columns)) as (header, reader):
                numbered = list(reader)
        except (OSError, UnicodeError, csv.Error) as error:
            problems.append(self._problem("table cannot be read", 1, str(error), "Save it as CSV in UTF-8."))
            return nothing
        for meaning, names in header.ambiguous.items():
            remedy = f"Rename or remove all but one, or say which: columns={{'{meaning}': '{names[0]}'}}."
            problems.append(self._problem(f"several columns say the {meaning}", 1, ", ".join(names), remedy))
        if header.ambiguous:
            return nothing
        needed = ["file", *(["class"] if self.needs_class else []), *(["split"] if self.split is not None else [])]
        if self.needs_boxes or any(corner in header.columns for corner in CORNERS):
            needed += CORNERS
        lacking = [name for name in needed if name not in header.columns]
        if lacking == ["class"] and not self.needs_boxes and flag_columns(header, (row for _, row in numbered)):
            lacking = []
        lacking += [f"a column named {name!r}" for name in header.missing]
        if lacking:
            called = ", ".join(" or ".join(NAMES.get(name, (name,))) for name in needed)
            remedy = (
                f"The first row names the columns; needed are {called}. If they have other names, say "
                "columns={'file': 'id', 'class': 'breed'}, for example."
            )
            value = _shorten(", ".join(header.written))
            problems.append(self._problem(f"table lacks {', '.join(lacking)}", 1, value, remedy))
            return nothing
        width = len(header.written)
        for line, row in numbered:
            if len(row) != width:
                remedy = f"Every row has the {width} columns of the first line; quote names that hold a comma."
                problems.append(self._problem("row of another length", line, _shorten(str(row)), remedy))
        whole = [(line, row) for line, row in numbered if len(row) == width]
        return Rows(header, [line for line, _ in whole], [row for _, row in whole])

    def _divided(self, rows: Rows, problems: list[Problem]) -> dict[str, list[str]] | None:
        """Return the classes in each cell, None if there is no such column; report cells that look like several."""
        if "class" not in rows.header.columns:
            return None
        cells = dict.fromkeys(rows.column("class"))
        refused = refused_cells(cells) if self.separator is None else {}
        if refused:
            column = rows.column("class")
            for cell, (kind, remedy) in refused.items():
                line = rows.lines[column.index(cell)]
                problems.append(self._problem(kind, line, _shorten(repr(cell)), remedy))
        return {cell: [cell] if cell in refused else split_cell(cell, self.separator) for cell in cells}

    def _flags(self, rows: Rows, problems: list[Problem]) -> list[int]:
        """Find the columns of 0 and 1 that stand for classes, and report other columns."""
        if not self.needs_class or self.needs_boxes:
            return []
        flags = flag_columns(rows.header, rows.cells)
        others = [rows.header.written[position] for position in rows.header.others() if position not in flags]
        if flags and others:
            kind, remedy = "columns that do not hold 0 and 1", "They were left out; the others are classes."
            problems.append(Problem("warning", kind, str(self.table), "", ", ".join(others), remedy))
        return flags

    def _objects(
        self,
        rows: Rows,
        divided: Mapping[str, list[str]],
        boxes: Float64[np.ndarray, "rows 4"] | None,
        written: Bool[np.ndarray, "rows 4"],
        problems: list[Problem],
    ) -> _Objects:
        """Return the classes of rows; report boxes without a class, and corners that are not numbers."""
        classes = [divided[cell] for cell in rows.column("class")]
        counts = np.fromiter(map(len, classes), np.int64, len(classes))
        without = {cell for cell, names in divided.items() if not cell and not names}
        for row in np.flatnonzero((counts == 0) & written.any(axis=1)).tolist():
            if rows.cells[row][rows.header.columns["class"]].strip() in without:
                value = repr(rows.cells[row][rows.header.columns["file"]].strip())
                problems.append(self._problem("box without class", rows.lines[row], value, "Name its class."))
        if boxes is not None:
            for row in np.flatnonzero((counts > 0) & np.isnan(boxes).any(axis=1)).tolist():
                cells = [rows.cells[row][rows.header.columns[corner]].strip() for corner in CORNERS]
                if not all(map(is_number, cells)):
                    value = ", ".join(f"{corner}={cell!r}" for corner, cell in zip(CORNERS, cells, strict=True))
                    problems.append(self._problem("malformed box", rows.lines[row], value, "Write four numbers."))
                    counts[row] = 0
        names = [name for count, found in zip(counts.tolist(), classes, strict=True) if count for name in found]
        return _Objects(np.repeat(np.arange(len(classes)), counts), names)

    def _of_split(self, rows: Rows, split: str, problems: list[Problem]) -> Rows:
        """Select the rows of a split, and report rows of unknown splits."""
        written = rows.column("split")
        counts = Counter(written)
        means = {value: split_of(value) or value for value in counts}
        if counts and split not in means.values():
            problems.append(self._problem("no row is of this split", 1, repr(split), near_matches(split, counts)))
        remedy = "They were left out; expected train, val or test."
        for value, count in counts.items():
            if means[value] != split and split_of(value) is None:
                place, found = f"line {rows.lines[written.index(value)]}", f"{count} of split {value!r}"
                problems.append(Problem("warning", "rows of no split", str(self.table), place, found, remedy))
        return rows.take([row for row, value in enumerate(written) if means[value] == split])

    def _safe(self, rows: Rows, problems: list[Problem]) -> Rows:
        """Select the rows whose file may be opened, and report the others."""
        files = rows.column("file")
        unsafe = {file: unsafe_name(file, self.images) for file in dict.fromkeys(files)}
        if not any(unsafe.values()):
            return rows
        remedy = f"Write a name relative to {self.images}."
        for line, file in zip(rows.lines, files, strict=True):
            if kind := unsafe[file]:
                problems.append(self._problem(kind, line, repr(file), remedy))
        return rows.take([row for row, file in enumerate(files) if unsafe[file] is None])

    def _problem(self, kind: str, line: int, value: str, remedy: str) -> Problem:
        return Problem("error", kind, str(self.table), f"line {line}", value, remedy)


def _flagged(rows: Rows, flags: Sequence[int]) -> _Objects:
    """Return the classes whose column holds 1, by row."""
    held = [[is_held(row[position]) for position in flags] for row in rows.cells]
    names = [rows.header.written[position] for row in held for position, holds in zip(flags, row, strict=True) if holds]
    return _Objects(np.repeat(np.arange(len(held)), [sum(row) for row in held]), names)


def _shorten(text: str, length: int = 120) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
