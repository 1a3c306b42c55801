"""The metrics of a run as CSV, in a file that goes on with the run."""

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.csv_logs import CSVLogger, ExperimentWriter
from lightning.pytorch.utilities.rank_zero import rank_zero_only, rank_zero_warn

METRICS_FILE = ExperimentWriter.NAME_METRICS_FILE
"""Name of the file in a run folder."""


class RunLogger(CSVLogger):
    """Lightning's CSVLogger, which continues ``metrics.csv`` instead of deleting it.

    A file that cannot be written is a warning, once; its rows are kept in memory and written as soon as that works.
    The arguments are those of :class:`lightning.pytorch.loggers.CSVLogger`.
    """

    _warned = False

    @property
    def version(self) -> int | str:
        """Version of the run; a new one is the next whose folder this process could create."""
        if self._version is None and _is_first():
            version = self._get_next_version()
            while True:
                try:
                    Path(self.root_dir, f"version_{version}").mkdir(parents=True)
                except FileExistsError:  # by a process that was started at the same time
                    version += 1
                else:
                    break
            self._version = version
        return super().version

    @property
    def experiment(self) -> Any:
        """The writer of the file; does nothing on other processes than the first."""
        if self._experiment is None and _is_first():
            self._experiment = _Rows(self.log_dir)
        return super().experiment

    @property
    def rows(self) -> int:
        """Number of rows that were logged to the file, those of earlier processes included; 0 on other processes."""
        return self.experiment.count if _is_first() else 0

    @rank_zero_only
    def go_on(self, source: Path, rows: int, pending: tuple[Mapping[str, float], int] | None) -> None:
        """Begin with the rows that were logged before a checkpoint was saved; later ones are left out.

        Args:
            source: The ``metrics.csv`` of the run that the checkpoint belongs to, which may be this run.
            rows: Number of rows that it had when the checkpoint was saved.
            pending: What was logged right after that, and at which step; it is logged if it is not in the file.
        """
        self.experiment.begin_with(source, rows)
        if pending is not None:
            metrics, step = pending
            self.log_metrics(dict(metrics), step)
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Write the rows that were logged since the last call."""
        try:
            super().save()
        except OSError as error:
            if not self._warned:
                rank_zero_warn(
                    f"{str(Path(self.log_dir, METRICS_FILE))!r} cannot be written ({error.strerror or error}); "
                    "training goes on, and its rows are written once that is possible."
                )
            self._warned = True


def _is_first() -> bool:
    return getattr(rank_zero_only, "rank", 0) == 0


class _Rows(ExperimentWriter):
    """Appends rows to a file; a row is in it as a whole or not at all."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        self.count = 0
        header, rows = _read(Path(self.metrics_file_path))
        self.metrics_keys, self.count = header, len(rows)

    def _check_log_dir_exists(self) -> None:
        """Leave the file of an earlier process."""

    def begin_with(self, source: Path, rows: int) -> None:
        header, kept = _read(source)
        kept = kept[:rows]
        self.metrics, self.count = [], len(kept)
        self.metrics_keys = [key for key in header if any(row.get(key) for row in kept)]
        if kept:
            self._replace(self.metrics_keys, kept)
        else:
            Path(self.metrics_file_path).unlink(missing_ok=True)

    def log_metrics(self, metrics_dict: dict[str, float], step: int | None = None) -> None:
        super().log_metrics(metrics_dict, step)
        self.count += 1

    def save(self) -> None:
        path = Path(self.metrics_file_path)
        size = path.stat().st_size if path.is_file() else None
        try:
            super().save()
        except OSError:
            # A part of the rows may have been written: they are all written again by the next call.
            if size is not None and path.is_file() and path.stat().st_size > size:
                os.truncate(path, size)
            elif size is None:
                path.unlink(missing_ok=True)
            raise

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        _, rows = _read(Path(self.metrics_file_path))
        self._replace(fieldnames, rows)

    def _replace(self, fieldnames: list[str], rows: list[dict[str, str]]) -> None:
        path = Path(self.metrics_file_path)
        part = path.with_name(f".{path.name}.part")
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=fieldnames, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        part.replace(path)


def _read(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read the header and the rows; a last row that was cut by the end of a process is left out by its reader."""
    if not file.is_file():
        return [], []
    with file.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        rows = list(reader)
        return list(reader.fieldnames or []), rows
