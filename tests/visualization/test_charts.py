import math

import pytest
import torch

from visiontasks.visualization import bar_chart, class_color, line_chart
from visiontasks.visualization.charts import ticks


def test_every_figure_stands_at_its_height_with_its_bar() -> None:
    picture = line_chart(
        "accuracy", ["10", "100"], {"a": [(50.0, 10.0), (90.0, 0.0)], "b": [(60.0, 0.0), (70.0, 0.0)]}, " %"
    )
    of_a = (picture == torch.tensor(class_color(0))[:, None, None]).all(0)
    of_a[:, 60 + 520 :] = False  # the names to the right
    low, high = 40.0, 90.0
    places = [40 + 360 - 10 - (value - low) / (high - low) * 340 for value in (40.0, 60.0, 90.0)]
    first = of_a[:, 60 + 130 - 2]
    rows = torch.nonzero(first).flatten()
    assert abs(rows.max() - places[0]) <= 2
    assert abs(rows.min() - places[1]) <= 2
    assert abs(torch.nonzero(of_a.any(1)).min() - places[2]) <= 5
    assert (picture == torch.tensor(class_color(1))[:, None, None]).all(0).any()


def test_equal_figures_are_drawn() -> None:
    assert line_chart("one", ["10"], {"a": [(5.0, 0.0)]}).shape[0] == 3


@pytest.mark.parametrize("scale", [1e-7, 0.01, 1.0, 37.0, 1e9])
@pytest.mark.parametrize("low", [-3.3, 0.0, 0.7])
def test_ticks_are_few_round_and_inside(scale: float, low: float) -> None:
    low, high = low * scale, (low + 1.23) * scale
    found = ticks(low, high)
    assert 2 <= len(found) <= 7
    assert low - 1e-9 * scale <= found[0]
    assert found[-1] <= high + 1e-9 * scale
    step = found[1] - found[0]
    leading = step / 10 ** math.floor(math.log10(step) + 1e-6)
    assert min(abs(leading - round_one) for round_one in (1, 2, 5)) < 1e-3


def test_the_names_of_the_lines_fit_into_the_picture() -> None:
    short, long = (line_chart("", ["10"], {name: [(5.0, 1.0)]}) for name in ("a", "propagated and fine-tuned at once"))
    assert long.shape[2] > short.shape[2] + 100
    assert (long[:, :, -3:] == 255).all()


def test_bars_are_as_long_as_their_counts() -> None:
    picture = bar_chart("objects", ["cat", "dog"], {"train": [40, 20]})
    color = torch.tensor(class_color(0), dtype=torch.uint8)[:, None, None]
    lengths = sorted((picture == color).all(0).sum(1).unique().tolist())
    assert lengths[-1] == pytest.approx(2 * lengths[-2], abs=3)
