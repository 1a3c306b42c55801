"""How a check is printed, whatever was found."""

import inspect
import json
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL.Image
import pytest

from visiontasks.cli import check, main
from visiontasks.data.check import Report
from visiontasks.data.check_files import SplitReport
from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.index.problems import Problem


def problem(kind: str, record: str = "", severity: Literal["error", "warning"] = "warning") -> Problem:
    return Problem(severity, kind, "a.json", record, "7", "It was dropped.")


@pytest.fixture
def found() -> Report:
    """Two splits of a detection, with one error and twelve warnings."""
    train = SplitReport(1200, np.array([1500, 2]), np.array([[30, 40], [50, 20]]), np.array([4.0, 6, 20]), 3)
    val = SplitReport(7, np.array([0, 9]), np.array([[30, 40]]))
    problems = [problem("zero", f"box {number}") for number in range(12)] + [problem("unknown", severity="error")]
    splits = {"train": train, "val": val, "test": SplitReport(0, np.zeros(2, np.int64))}
    return Report(("cat", "zebra"), "objects", splits, problems)


def test_problems_come_by_kind_and_then_a_table(found: Report) -> None:
    lines = check.describe(found).splitlines()
    assert lines[:3] == ["error: unknown (1)", "  a.json | 7 | It was dropped.", "warning: zero (12)"]
    assert lines[3:5] == [f"  a.json | box {number} | 7 | It was dropped." for number in range(2)]
    assert lines[12:15] == ["  a.json | box 9 | 7 | It was dropped.", "  and 2 more; --json lists all", ""]
    assert lines[15:] == [
        "                              train      val       test",
        "images                        1,200        7          0",
        "objects                       1,502        9          0",
        "  cat                         1,500        0          0",
        "  zebra                           2        9          0",
        "objects ignored                   3        0          0",
        "height x width   30 x 20 to 50 x 40  30 x 40  not known",
        "side of boxes     4 to 20, median 6     none       none",
        "",
        "1 errors, 12 warnings.",
    ]
    assert check.describe(Report((), None, {"train": SplitReport(1, np.zeros(0, np.int64))}, [])) == (
        "                    train\nimages                  1\nheight x width  not known\n\n0 errors, 0 warnings."
    )


def test_what_is_not_learnt_is_counted() -> None:
    polygons = SplitReport(2, np.array([3]), unread_masks=1200)
    lines = check.describe(Report(("cat",), "objects", {"train": polygons, "val": polygons}, [])).splitlines()
    assert "2,400 objects have polygons or masks: --data.task instances reads them." in lines
    void = SplitReport(2, np.array([30, 44]), ignored_pixels=26)
    report = Report(("sky", "road"), "pixels", {"train": void, "val": SplitReport(1, np.array([5, 5]))}, [])
    assert "pixels ignored  26 (26 %)    0 (0 %)" in check.describe(report)
    assert "'ignored_pixels': 26" in str(check._plain(report))


def test_the_flags_that_are_named_exist() -> None:
    flags = set(re.findall(r"--data\.(\w+)", check._DRAWN))
    assert flags == {"fractions", "split_seed"} <= inspect.signature(FileData).parameters.keys()


def test_everything_is_printed_as_json(
    found: Report, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def look(data: Any, files: bool) -> Report:  # noqa: ANN401 - as the function it stands in for
        asked.append((data.sizes["train"], files))
        return found

    monkeypatch.setattr(check, "check", look)
    assert main(["check", "--json", "--data.train_size", "9"]) == 2
    printed = json.loads(capsys.readouterr().out)
    assert printed["splits"]["train"] == {
        "images": 1200,
        "origin": "own",
        "objects": {"cat": 1500, "zebra": 2},
        "ignored": 3,
        "smallest_size": [30, 20],
        "largest_size": [50, 40],
        "box_sides": [4, 5, 6, 13, 20],
    }
    assert (printed["splits"]["test"]["smallest_size"], printed["splits"]["val"]["box_sides"]) == (None, None)
    assert len(printed["problems"]) == 13
    assert printed["exit_code"] == 2
    assert main(["check", "--quick"]) == 2
    assert asked == [(9, True), (2000, False)]


def test_annotations_alone_are_those_of_the_data_that_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (tmp_path / kind / split).mkdir(parents=True)
        PIL.Image.new("RGB", (40, 30)).save(tmp_path / "images" / split / f"{split}.png")
        (tmp_path / "labels" / split / f"{split}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat]\n")
    # Without a root: defaults of another data module would name one.
    assert main(["check", "--quick", "--data", "YOLODataModule", "--data.yaml", str(tmp_path / "data.yaml")]) == 0
    assert "0 errors, 0 warnings." in capsys.readouterr().out
