"""Tables of image files with classes and, optionally, boxes."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from visiontasks.data.index.boxes import BoxFormat, clean_boxes
from visiontasks.data.index.file_names import found_files, missing_files, unsafe_name
from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.data.index.source import build_index, encode_labels
from visiontasks.data.index.splits import split_of
from visiontasks.errors import near_matches

_CALLED = {"file": ("file", "filename", "image", "path"), "class": ("class", "label")}
_ALIASES = {name: meaning for meaning, names in _CALLED.items() for name in names}
FILE_COLUMNS, CLASS_COLUMNS = _CALLED["file"], _CALLED["class"]
"""Possible names of the file column."""
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_READ = ("file", "class", "split", "width", "height", *_CORNERS)


@dataclass(frozen=True)
class CsvTable:
    """A table with one row per object: ``file``, ``class``, and optionally ``xmin``, ``ymin``, ``xmax``, ``ymax``.

    Rows of the same file are objects of one image. A row without class and box is an image without objects. The first
    line names the columns, in any order and case; ``filename``, ``image`` and ``path`` may replace ``file``, and
    ``label`` may replace ``class``. ``width`` and ``height`` give the size of the image in pixels. Columns are
    separated by commas, semicolons or tabs.

    Args:
        table: The file, in UTF-8.
        images: Folder that the file names in it are relative to.
        split: Split whose rows to take, by the column ``split``, in which ``val`` may be called valid, validation or
            dev, and so on, in any case; None takes all rows.
        box_format: Notation of the boxes. For ``xywh`` the columns ``xmax`` and ``ymax`` hold width and height.
        class_names: Classes in the order of the labels; None takes the names in all rows of all splits, sorted.
        needs_boxes: Whether a table without box columns is an error.
        needs_class: Whether a table without a class column is an error.
    """

    table: Path
    images: Path
    split: str | None = None
    box_format: BoxFormat = "xyxy"
    class_names: tuple[str, ...] | None = None
    needs_boxes: bool = False
    needs_class: bool = True

    def sources(self) -> Sequence[Path]:
        """Return the table."""
        return [self.table]

    def parse(self) -> Parsed:
        """Read the table and find its images."""
        problems: list[Problem] = []
        rows = self._read(problems)
        class_names = self.class_names
        if class_names is None:
            class_names = tuple(sorted({row["class"] for _, row in rows if row["class"]}))
        if self.split is not None:
            rows = self._of_split(rows, self.split, problems)

        positions: dict[str, int] = {}
        sizes: list[tuple[int, int]] = []
        names, image_of, boxes, lines = [], [], [], []
        for line, row in rows:
            file = row["file"]
            if unsafe := unsafe_name(file, self.images):
                remedy = f"Write a name relative to {self.images}."
                problems.append(self._problem(unsafe, line, repr(file), remedy))
                continue
            image = positions.setdefault(file, len(positions))
            size = self._size(row, line, problems)
            if image == len(sizes):
                sizes.append(size)
            elif not all(sizes[image]):
                sizes[image] = size
            elif all(size) and size != sizes[image]:
                value = f"{file!r}: {size[1]} x {size[0]} pixels, {sizes[image][1]} x {sizes[image][0]} before"
                problems.append(self._problem("sizes of one image differ", line, value, "Correct the rows."))
            written = [row[corner] for corner in _CORNERS if row.get(corner)]
            if not row["class"] and not written:
                continue
            if not row["class"]:
                problems.append(self._problem("box without class", line, repr(file), "Name its class."))
                continue
            if "xmin" in row:
                box = self._box(row, line, problems)
                if box is None:
                    continue
                boxes.append(box)
            names.append(row["class"])
            image_of.append(image)
            lines.append(line)

        def place(position: int) -> tuple[str, str]:
            return str(self.table), f"line {lines[position]}"

        known, labels, found = encode_labels(names, class_names, place)
        problems += found
        image_sizes = np.array(sizes, np.int32).reshape(-1, 2)
        images = np.array(image_of, np.int64)
        keep = labels >= 0
        clean = None
        if rows and "xmin" in rows[0][1]:
            values = np.array(boxes, np.float64).reshape(-1, 4)
            clean, kept, found = clean_boxes(values, image_sizes[images], self.box_format, str(self.table), place)
            problems += found
            keep &= kept
        index = build_index(
            self.images,
            found_files(self.images, positions),
            known,
            image_of=images[keep],
            labels=labels[keep],
            boxes=None if clean is None else clean[keep],
            sizes=image_sizes,
        )
        return Parsed(index, [*problems, *missing_files(index, str(self.table))])

    def _read(self, problems: list[Problem]) -> list[tuple[int, dict[str, str]]]:
        """Read all rows with their line numbers and with standard column names."""
        try:
            with self.table.open(encoding="utf-8-sig", newline="") as file:
                header = file.readline()
                delimiter = max(",;\t", key=header.count)
                written = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
                names = [_ALIASES.get(name, name) for name in written]
                reader = csv.reader(file, delimiter=delimiter)
                rows = [(reader.line_num + 1, [cell.strip() for cell in row]) for row in reader if row]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            problems.append(self._problem("table cannot be read", 1, str(error), "Save it as CSV in UTF-8."))
            return []
        for meaning in _READ:
            columns = [name for name, means in zip(written, names, strict=True) if means == meaning]
            if len(columns) > 1:
                remedy = "Rename or remove all but one."
                problems.append(self._problem(f"several columns say the {meaning}", 1, ", ".join(columns), remedy))
                return []
        needed = ["file", *(["class"] if self.needs_class else []), *(["split"] if self.split is not None else [])]
        if self.needs_boxes or any(corner in names for corner in _CORNERS):
            needed += _CORNERS
        lacking = [name for name in needed if name not in names]
        if lacking:
            called = ", ".join(" or ".join(_CALLED.get(name, (name,))) for name in needed)
            remedy = f"The first line names the columns; needed are {called}."
            problems.append(self._problem(f"table lacks {', '.join(lacking)}", 1, header.strip(), remedy))
            return []
        for line, row in rows:
            if len(row) != len(names):
                remedy = f"Every row has the {len(names)} columns of the first line; quote names that hold a comma."
                problems.append(self._problem("row of another length", line, str(row), remedy))
        whole = [(line, row) for line, row in rows if len(row) == len(names)]
        return [(line, {"class": "", **dict(zip(names, row, strict=True))}) for line, row in whole]

    def _of_split(
        self, rows: list[tuple[int, dict[str, str]]], split: str, problems: list[Problem]
    ) -> list[tuple[int, dict[str, str]]]:
        """Select the rows of a split, and report rows of unknown splits."""
        lines: dict[str, list[int]] = {}
        for line, row in rows:
            lines.setdefault(row["split"], []).append(line)
        means = {written: split_of(written) or written for written in lines}
        if lines and split not in means.values():
            problems.append(self._problem("no row is of this split", 1, repr(split), near_matches(split, lines)))
        remedy = "They were left out; expected train, val or test."
        for written in lines:
            if means[written] != split and split_of(written) is None:
                place, value = f"line {lines[written][0]}", f"{len(lines[written])} of split {written!r}"
                problems.append(Problem("warning", "rows of no split", str(self.table), place, value, remedy))
        return [(line, row) for line, row in rows if means[row["split"]] == split]

    def _size(self, row: dict[str, str], line: int, problems: list[Problem]) -> tuple[int, int]:
        """Read the height and width of the image, 0 if the table does not contain them."""
        try:
            height, width = (float(row.get(column) or 0) for column in ("height", "width"))
            if min(height, width) >= 0 and max(height, width) < 2**31 and height % 1 == width % 1 == 0:
                return int(height), int(width)
        except ValueError:
            pass
        value = f"width={row.get('width')!r}, height={row.get('height')!r}"
        problems.append(self._problem("size is not a number of pixels", line, value, "Correct it, or leave it empty."))
        return 0, 0

    def _box(self, row: dict[str, str], line: int, problems: list[Problem]) -> tuple[float, ...] | None:
        try:
            return tuple(float(row[corner]) for corner in _CORNERS)
        except ValueError:
            value = ", ".join(f"{corner}={row[corner]!r}" for corner in _CORNERS)
            problems.append(self._problem("malformed box", line, value, "Write four numbers."))
            return None

    def _problem(self, kind: str, line: int, value: str, remedy: str) -> Problem:
        return Problem("error", kind, str(self.table), f"line {line}", value, remedy)
