import torch

from visiontasks.visualization import class_color, line_chart


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
