import pytest
import torch

from visiontasks.visualization import (
    reliability_diagram,
)


def test_a_reliability_diagram_shows_every_bin_that_holds_something() -> None:
    counts = torch.tensor([0.0, 1.0, 3.0])
    confidence, accuracy = torch.tensor([torch.nan, 0.5, 0.9]), torch.tensor([torch.nan, 0.75, 0.6])
    picture = reliability_diagram(counts, confidence, accuracy)
    blue, red = torch.tensor([70, 110, 180])[:, None, None], torch.tensor([230, 130, 110])[:, None, None]
    left, top, side = 46, 40, 300
    middles = [left + side // 6, left + side // 2 + 20, left + side * 5 // 6 - 10]
    columns = [picture[:, top + 1 : top + side - 1, x : x + 1] for x in middles]
    heights = [int((column == blue).all(0).sum()) / side for column in columns]
    # The diagonal and the outline of the gap lie over the bars.
    assert heights == pytest.approx([0, 0.75, 0.6], abs=0.03)
    gaps = [int((column == red).all(0).sum()) / side for column in columns]
    assert gaps == pytest.approx([0, 0, 0.3], abs=0.03)
