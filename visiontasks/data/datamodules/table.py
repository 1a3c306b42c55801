"""Tables of files with classes and boxes."""

import csv
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from lightning.pytorch.utilities import rank_zero_warn

from visiontasks.data.datamodules.file_data_module import FileDataModule
from visiontasks.data.datamodules.file_tasks import TaskName
from visiontasks.data.datamodules.layouts import find_images_folder, first_existing, layout_error
from visiontasks.data.index.boxes import BoxFormat
from visiontasks.data.index.csv_table import CLASS_COLUMNS, FILE_COLUMNS, CsvTable
from visiontasks.data.index.splits import SPLIT_NAMES, split_of
from visiontasks.errors import ArgumentError, DataError

_EXPECTED = ("train.csv, val.csv (or valid.csv), test.csv", "one .csv file, with or without a column named split")


class CSVDataModule(FileDataModule):
    """Images listed in a table with their classes and, optionally, boxes.

    The first line names the columns: ``file`` (or filename, image, path), ``class`` (or label), and for boxes ``xmin``,
    ``ymin``, ``xmax``, ``ymax``; ``width`` and ``height`` of the image and ``split`` are optional. Several rows of a
    file are several objects or classes. Without separate tables or a column for the splits, the images are split at
    random. For autoencoding the class column may be left out.

    Args:
        root: Folder of the data set.
        task: ``"classification"``, ``"localization"`` of the largest object, ``"detection"`` or ``"autoencoding"``.
        table: The table, relative to ``root``; by default found by searching.
        images: Folder of the images, relative to ``root``; by default found by searching.
        box_format: Notation of the boxes: ``"xyxy"`` and ``"xywh"`` are 0-based pixels, ``"voc"`` is 1-based pixels,
            ``"relative"`` is fractions of width and height.
        multilabel: Classification: whether an image may have several classes; by default, whether any image has
            several.
        **kwargs: Arguments of :class:`~visiontasks.data.datamodules.file_data_module.FileDataModule`.

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
        box_format: BoxFormat = "xyxy",
        multilabel: bool | None = None,
        **kwargs: Any,  # noqa: ANN401 (the arguments of FileDataModule)
    ) -> None:
        self.table = table
        self.images = images
        self.box_format = box_format
        self._multilabel = multilabel
        super().__init__(root, task, **kwargs)

    @property
    def multilabel(self) -> bool:  # type: ignore[override]  # depends on the data here
        """Whether an image may have several classes."""
        if self._multilabel is None:
            index = self.splits.own("train").index
            owners = np.repeat(np.arange(len(index)), np.diff(index.offsets))
            pairs = np.unique(np.column_stack((owners, index.labels)), axis=0)
            self._multilabel = len(pairs) > len(np.unique(owners))
        return self._multilabel

    def find_source(self, split: str, class_names: tuple[str, ...] | None) -> CsvTable | None:
        """Find the table and the rows of a split."""
        tables = {
            name: first_existing(self.root, [f"{alias}.csv" for alias in aliases])
            for name, aliases in SPLIT_NAMES.items()
        }
        if self.table is None and tables["train"]:
            own = tables[split]
            if own and split != "train" and self.task != "autoencoding" and not _has_classes(own):
                rank_zero_warn(f"{str(own)!r} has no column of classes; it is left out.")
                return None
            return self._source(own, None, class_names) if own else None
        table = self._single()
        values = _splits_named(table)
        if not values:
            return self._source(table, None, class_names) if split == "train" else None
        there = split in map(split_of, values)
        if split == "train" and not there:
            message = f"{str(table)!r}: the column split holds {sorted(values)}; expected train, val and test."
            raise DataError(message)
        return self._source(table, split, class_names) if there else None

    def _source(self, table: Path, split: str | None, class_names: tuple[str, ...] | None) -> CsvTable:
        if self.images is not None:
            folder = self.root / self.images
        else:
            aliases = SPLIT_NAMES.get(split or split_of(table.stem) or "", ())
            folder = find_images_folder(self.root, _first_files(table, split), table.parent, aliases)
        boxed, classed = self.task in ("localization", "detection"), self.task != "autoencoding"
        return CsvTable(table, folder, split, self.box_format, class_names, boxed, classed)

    def _single(self) -> Path:
        if self.table is not None:
            if not (self.root / self.table).is_file():
                message = f"table is {self.table!r}, but there is no file {str(self.root / self.table)!r}."
                raise ArgumentError(message)
            return self.root / self.table
        found = sorted(self.root.glob("*.csv"))
        if len(found) != 1:
            several = f"Its tables: {', '.join(path.name for path in found)}. " if found else ""
            raise layout_error(self.root, _EXPECTED, f"{several}Name it, as in table='labels.csv'.")
        return found[0]


def _rows(table: Path) -> Sequence[Mapping[str, str]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            delimiter = max(",;\t", key=header.count)
            names = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
            return list(csv.DictReader(file, names, delimiter=delimiter))
    except (OSError, UnicodeDecodeError, csv.Error):  # reported with its line when the table is parsed
        return []


def _has_classes(table: Path) -> bool:
    rows = _rows(table)
    return not rows or any(name in rows[0] for name in CLASS_COLUMNS)


def _first_files(table: Path, split: str | None, count: int = 5) -> list[str]:
    """Return some of the files of a split."""
    rows = (row for row in _rows(table) if split is None or split_of((row.get("split") or "").strip()) == split)
    names = (next((row[name].strip() for name in FILE_COLUMNS if row.get(name)), "") for row in rows)
    return list(islice(dict.fromkeys(filter(None, names)), count))


def _splits_named(table: Path) -> set[str]:
    """Collect the values of the column ``split``; empty if there is no such column."""
    return {row["split"].strip() for row in _rows(table) if row.get("split")}
