"""The CSV file of a run that goes on."""

import csv
import errno
import threading
from pathlib import Path
from typing import Any

import pytest

from visiontasks.callbacks import RunLogger
from visiontasks.callbacks.run_logger import _Rows


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def log(logger: RunLogger, *rows: tuple[int, dict[str, float]]) -> None:
    for step, metrics in rows:
        logger.log_metrics(dict(metrics), step)
        logger.save()


def test_rows_after_the_checkpoint_are_replaced_and_none_is_lost(tmp_path: Path) -> None:
    first = RunLogger(tmp_path, "fit", 0)
    log(first, (0, {"a": 1.0}), (1, {"a": 2.0}), (1, {"b": 3.0}), (2, {"a": 4.0}))
    assert first.rows == 4
    again = RunLogger(tmp_path, "fit", 0)
    again.go_on(tmp_path / "fit" / "version_0" / "metrics.csv", 2, ({"b": 30.0}, 1))
    assert again.rows == 3
    log(again, (2, {"a": 40.0, "c": 5.0}))
    assert rows_of(tmp_path / "fit" / "version_0") == [
        {"step": "0", "a": "1.0"},
        {"step": "1", "a": "2.0"},
        {"step": "1", "b": "30.0"},
        {"step": "2", "a": "40.0", "c": "5.0"},
    ]


def test_a_new_folder_begins_with_the_rows_of_the_old_one(tmp_path: Path) -> None:
    log(RunLogger(tmp_path, "fit", 0), (0, {"a": 1.0}), (1, {"a": 2.0}))
    branch = RunLogger(tmp_path, "fit", 1)
    branch.go_on(tmp_path / "fit" / "version_0" / "metrics.csv", 1, None)
    log(branch, (1, {"a": 20.0}))
    assert [row["a"] for row in rows_of(tmp_path / "fit" / "version_1")] == ["1.0", "20.0"]
    assert [row["a"] for row in rows_of(tmp_path / "fit" / "version_0")] == ["1.0", "2.0"]


def test_a_row_that_was_cut_by_a_kill_is_left_out(tmp_path: Path) -> None:
    log(RunLogger(tmp_path, "fit", 0), (0, {"a": 1.0, "b": 2.0}))
    file = tmp_path / "fit" / "version_0" / "metrics.csv"
    file.write_text(file.read_text() + "3.0,4")
    again = RunLogger(tmp_path, "fit", 0)
    again.go_on(file, 1, None)
    log(again, (1, {"a": 3.0, "b": 4.0}))
    assert [row["a"] for row in rows_of(file.parent)] == ["1.0", "3.0"]


def test_starting_over_leaves_no_row(tmp_path: Path) -> None:
    log(RunLogger(tmp_path, "fit", 0), (0, {"a": 1.0}))
    again = RunLogger(tmp_path, "fit", 0)
    again.go_on(tmp_path / "fit" / "version_0" / "metrics.csv", 0, None)
    log(again, (0, {"b": 2.0}))
    assert rows_of(tmp_path / "fit" / "version_0") == [{"step": "0", "b": "2.0"}]


def test_a_full_disk_is_a_warning_and_the_rows_are_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = RunLogger(tmp_path, "fit", 0)
    log(logger, (0, {"a": 1.0}))
    original: Any = csv.DictWriter.writerows

    def half(self: Any, rows: Any) -> None:  # noqa: ANN401 - as in csv
        self.writer.writerow(["half a row"])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(csv.DictWriter, "writerows", half)
    with pytest.warns(UserWarning, match=r"metrics\.csv' cannot be written \(No space left on device\)"):
        log(logger, (1, {"a": 2.0}))
    log(logger, (2, {"a": 3.0}))  # warns only once
    monkeypatch.setattr(csv.DictWriter, "writerows", original)
    log(logger, (3, {"a": 4.0}))
    assert [row["a"] for row in rows_of(tmp_path / "fit" / "version_0")] == ["1.0", "2.0", "3.0", "4.0"]


def test_two_runs_that_begin_at_once_get_folders_of_their_own(tmp_path: Path) -> None:
    loggers = [RunLogger(tmp_path, "fit") for _ in range(8)]
    gate = threading.Barrier(8)

    def begin(logger: RunLogger) -> None:
        gate.wait()
        logger.version  # noqa: B018 (claims the folder)

    threads = [threading.Thread(target=begin, args=(logger,)) for logger in loggers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(logger.version) for logger in loggers) == list(range(8))


def test_a_cut_rewrite_of_the_header_leaves_the_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = RunLogger(tmp_path, "fit", 0)
    log(logger, (0, {"a": 1.0}))
    monkeypatch.setattr(_Rows, "_replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        log(logger, (1, {"b": 1.0}))
    assert rows_of(tmp_path / "fit" / "version_0") == [{"step": "0", "a": "1.0"}]
