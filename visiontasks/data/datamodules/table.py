"""Tables of files with classes and boxes."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.datamodules.file_tasks import TaskName
from visiontasks.data.datamodules.layouts import LayoutError, described, find_images_folder, layout_error, places
from visiontasks.data.index.boxes import BoxFormat
from visiontasks.data.index.csv_columns import MEANINGS, flag_columns, open_table
from visiontasks.data.index.csv_table import CsvTable
from visiontasks.data.index.splits import SPLIT_NAMES, split_of
from visiontasks.data.messages import warn
from visiontasks.errors import ArgumentError, check_choice

_TRIED = 5
"""Number of file names by which the folder of the images is searched for."""


class CSVData(FileData):
    """Images listed in a table with their classes and, optionally, boxes.

    The first line names the columns: ``file`` (or filename, image, path), ``class`` (or label), and for boxes ``xmin``,
    ``ymin``, ``xmax``, ``ymax``; ``width`` and ``height`` of the image and ``split`` are optional. Several rows of a
    file are several objects or classes. In place of ``class``, every class may have a column of 0 and 1, which makes
    the data multilabel. Without separate tables or a column for the splits, the images are split at random. For
    autoencoding the class column may be left out.

    Args:
        root: Folder of the data set.
        task: ``"classification"``, ``"localization"`` of the largest object, ``"detection"`` or ``"autoencoding"``.
        table: The table, relative to ``root``; by default found by searching.
        images: Folder of the images, relative to ``root``; by default found by searching.
        columns: Names of columns that are called otherwise, by what they mean (one of the names above), such as
            ``{"file": "id_code", "class": "diagnosis"}``.
        separator: What divides several classes in one cell, such as ``"|"``; ``""`` if nothing does. By default cells
            that look like several classes are an error.
        box_format: Notation of the boxes: ``"xyxy"`` and ``"xywh"`` are 0-based pixels, ``"voc"`` is 1-based pixels,
            ``"relative"`` is fractions of width and height.
        multilabel: Classification: whether an image may have several classes; by default, whether any image has
            several, or classes have columns.
        **kwargs: Arguments of :class:`~visiontasks.data.datamodules.file_data.FileData`.

    Raises:
        ArgumentError: If an argument is out of range.
        DataError: If the table is not found or has errors (when first used).
    """

    tasks: ClassVar[tuple[TaskName, ...]] = ("classification", "localization", "detection", "autoencoding")

    def __init__(
        self,
        root: str | Path = "data",
        task: Literal["classification", "localization", "detection", "autoencoding"] = "classification",
        *,
        table: str | None = None,
        images: str | None = None,
        columns: dict[str, str] | None = None,
        separator: str | None = None,
        box_format: BoxFormat = "xyxy",
        multilabel: bool | None = None,
        **kwargs: Any,  # noqa: ANN401 (the arguments of FileData)
    ) -> None:
        self.table = table
        self.images = images
        self.box_format = box_format
        self.columns = columns or {}
        self.separator = separator
        for meaning in self.columns:
            check_choice("columns", meaning, MEANINGS)
        self._multilabel = multilabel
        self._glances: dict[Path, _Glance] = {}
        super().__init__(root, task, **kwargs)

    @property
    def multilabel(self) -> bool:  # type: ignore[override]  # depends on the data here
        """Whether an image may have several classes."""
        if self.trained is not None and self.trained.takes in ("classification", "multilabel classification"):
            return self.trained.takes == "multilabel classification"
        if self._multilabel is None:
            index = self.splits.own(self.splits.first).index
            owners = np.repeat(np.arange(len(index)), np.diff(index.offsets))
            pairs = np.unique(np.column_stack((owners, index.labels)), axis=0)
            source = self.splits.source(self.splits.first)
            flagged = isinstance(source, CsvTable) and self._glance(source.table).has_flags
            self._multilabel = flagged or len(pairs) > len(np.unique(owners))
        return self._multilabel

    def find_source(self, split: str, class_names: tuple[str, ...] | None) -> CsvTable | None:
        """Find the table and the rows of a split."""
        tables = {name: self._table(aliases) for name, aliases in SPLIT_NAMES.items()}
        if self.table is None and (tables["train"] or len([*filter(None, tables.values())]) > 1):
            table = tables[split]
            if table is None and split == "train":
                raise layout_error(self.root, described("CSVDataModule"), "None of the tables is for training.")
            if table and split != "train" and self.task != "autoencoding" and not self._glance(table).has_classes:
                warn(f"{str(table)!r} has no column of classes; it is left out.")
                return None
            return self._source(table, None, class_names, split) if table else None
        table = self._single()
        values = self._glance(table).files.keys() - {""}
        if not values:
            return self._source(table, None, class_names, "") if split == "train" else None
        has_split = split in map(split_of, values)
        if split == "train" and not has_split:
            message = f"{str(table)!r}: the column split holds {sorted(values)}; expected train, val and test."
            raise LayoutError(message)
        return self._source(table, split, class_names, split) if has_split else None

    def _table(self, split_names: Sequence[str]) -> Path | None:
        """Find the table of a split."""
        return next((place.annotations for place in places(self.root, "CSVDataModule", split_names)), None)

    def _source(self, table: Path, split: str | None, class_names: tuple[str, ...] | None, folder_of: str) -> CsvTable:
        """Describe a table, or its rows of one split; its images are searched for in the folder of a split first."""
        if self.images is not None:
            folder = self.root / self.images
        else:
            aliases = SPLIT_NAMES.get(folder_of, ())
            files = self._glance(table).files
            named = [name for value in files if split is None or split_of(value) == split for name in files[value]]
            folder = find_images_folder(self.root, named[:_TRIED], table.parent, aliases)
        boxed, classed = self.task in ("localization", "detection"), self.task != "autoencoding"
        columns = tuple(self.columns.items())
        return CsvTable(table, folder, split, self.box_format, class_names, boxed, classed, columns, self.separator)

    def _glance(self, table: Path) -> "_Glance":
        """Look through a table once, however many splits are found in it."""
        if table not in self._glances:
            self._glances[table] = _glance(table, self.columns)
        return self._glances[table]

    def _single(self) -> Path:
        if self.table is not None:
            if not (self.root / self.table).is_file():
                message = f"table is {self.table!r}, but there is no file {str(self.root / self.table)!r}."
                raise ArgumentError(message)
            return self.root / self.table
        tables = sorted(self.root.glob("*.csv"))
        if len(tables) != 1:
            several = f"Its tables: {', '.join(path.name for path in tables)}. " if tables else ""
            expected = [*described("CSVDataModule"), "one .csv file, with or without a column named split"]
            raise layout_error(self.root, expected, f"{several}Name it, as in table='labels.csv'.")
        return tables[0]


class _Glance(NamedTuple):
    """What finding the parts of a data set takes from a table.

    Attributes:
        has_classes: Whether columns hold the classes; true of a table that has no rows or cannot be read.
        has_flags: Whether each class has a column of 0 and 1.
        files: The first file names of the rows with each value of the column ``split``, ``""`` where it is empty or
            there is none.
    """

    has_classes: bool
    has_flags: bool
    files: dict[str, list[str]]


def _glance(table: Path, columns: Mapping[str, str]) -> _Glance:
    files: dict[str, dict[str, None]] = {}
    try:
        with open_table(table, columns) as (header, rows):
            file, split = header.columns.get("file", -1), header.columns.get("split", -1)
            for _, row in rows:
                first = files.setdefault(row[split].strip() if 0 <= split < len(row) else "", {})
                if len(first) < _TRIED and 0 <= file < len(row) and row[file].strip():
                    first[row[file].strip()] = None
                elif split < 0:
                    break
        flagged = False
        if "class" not in header.columns:
            with open_table(table, columns) as (_, rows):
                flagged = bool(flag_columns(header, (row for _, row in rows)))
    except (OSError, UnicodeError, csv.Error):  # reported with its line when the table is parsed
        return _Glance(True, False, {})
    has_classes = not files or flagged or "class" in header.columns
    return _Glance(has_classes, flagged, {split: list(first) for split, first in files.items()})
