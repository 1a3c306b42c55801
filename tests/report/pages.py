"""Plain data of a page for tests."""

from dataclasses import replace
from typing import Any

from visiontasks.report import Confusion, Environment, Report, Thresholds

NAMES = ["<i>cat</i>", 'do"g', "</script><script>alert(1)</script>"]
RIGHT = [[40 - step // 4 for step in range(101)], [step % 2 for step in range(101)], [0] * 101]
WRONG = [[60 - step // 2 for step in range(101)], [2] * 101, [0] * 101]
WANTED = [50, 4, 0]


def make_report(**changes: Any) -> Report:  # noqa: ANN401 - the fields of a report
    """Make a report whose names are hostile."""
    environment = Environment("visiontasks test --a '<b>'", "2026-01-01 00:00:00+00:00", versions={"torch": "2"})
    report = Report(
        title="A & <b>B</b>",
        facts={"<i>Task</i>": "x < y"},
        metrics={"test/loss": 0.123456789, "test/map": float("nan"), f"test/ap/{NAMES[2]}": 0.5},
        monitor="map",
        class_names=NAMES,
        history={"loss": {"train": [(1.0, 2.0), (2.0, 1.0)], "val": [(1.0, 3.0)]}},
        confusion=Confusion("images", [[3, 1, 0], [0, 20_000, 5], [0, 0, 0]], NAMES),
        thresholds=Thresholds("objects", NAMES, RIGHT, WRONG, WANTED, "how <b>"),
        galleries=[],
        quality="",
        trained=None,
        tested=environment,
        configuration="a: <b>",
    )
    return replace(report, **changes)
