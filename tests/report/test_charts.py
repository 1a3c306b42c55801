import re

import pytest

from visiontasks.report.charts import PLOT, svg_chart


def test_a_curve_is_drawn_where_its_values_are() -> None:
    svg = svg_chart("<loss>", {"val": [(0.0, 0.0), (0.5, 0.25), (1.0, 1.0)]}, "x", (0, 1), (0, 1))
    assert "&lt;loss&gt;" in svg
    (path,) = re.findall(r'<path class="curve c0" d="M([\d.,L]+)"/>', svg)
    left, right, top, bottom = PLOT
    points = [tuple(map(float, point.split(","))) for point in path.split("L")]
    assert points == [(left, bottom), ((left + right) / 2, bottom - (bottom - top) / 4), (right, top)]


@pytest.mark.parametrize("points", [[], [(1.0, 0.0)], [(1.0, 5.0), (2.0, 5.0)], [(1.0, -2e-9)], [(3.0, 1e12)]])
def test_few_and_equal_values_have_a_chart(points: list[tuple[float, float]]) -> None:
    svg = svg_chart("loss", {"train": points}, "epoch")
    assert "nan" not in svg
    assert svg.count("<circle") == len(points)
    assert ("no values" in svg) == (not points)


def test_single_epochs_are_marked_where_there_are_few() -> None:
    few, many = ([(float(epoch), 1.0 / (epoch + 1)) for epoch in range(count)] for count in (30, 31))
    assert svg_chart("loss", {"train": few}, "epoch").count("<circle") == 30
    assert "<circle" not in svg_chart("loss", {"train": many}, "epoch")
    assert "<circle" not in svg_chart("precision", {"train": few}, "recall")
