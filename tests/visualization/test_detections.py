from typing import Any

import pytest
import torch

from visiontasks.types import (
    DetectionBatch,
    DetectionPredictions,
)
from visiontasks.visualization import (
    class_color,
    draw_detections,
)
from visiontasks.visualization.captions import draw_boxes


def test_detections_are_drawn_beside_the_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[list[str]] = []

    def note(picture: Any, boxes: Any, names: list[str], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        named.append(names)
        draw_boxes(picture, boxes, names, *args, **kwargs)

    monkeypatch.setattr("visiontasks.visualization.annotations.draw_boxes", note)
    batch = DetectionBatch(
        torch.zeros(2, 3, 40, 64, dtype=torch.uint8),
        torch.tensor([[[10.0, 20, 20, 30]], [[0, 0, 0, 0]]]),
        torch.tensor([[1], [-1]]),
        torch.zeros(2, 1, dtype=torch.bool),
        torch.tensor([[40, 64], [40, 64]]),
        torch.ones(2, 2),
        torch.tensor([0, 1]),
        torch.zeros(2, 1),
    )
    predictions = DetectionPredictions(
        torch.tensor([[[30.0, 20, 40, 30], [1, 1, 9, 9]], [[0, 0, 0, 0], [0, 0, 0, 0]]]),
        torch.tensor([[0.9, 0.2], [0, 0]]),
        torch.tensor([[0, 1], [-1, -1]]),
    )
    picture = draw_detections(batch, predictions, ["cat", "dog"], side=128, columns=2)
    assert named == [["dog"], ["cat 0.90"], [], []]
    # Two pictures of 128 x 80 in a row, a margin of 6 and a title of 20 above each; boxes at twice their size.
    assert tuple(picture[:, 26 + 60, 6 + 30].tolist()) == class_color(1)
    assert tuple(picture[:, 26 + 60, 6 + 128 + 6 + 70].tolist()) == class_color(0)
    # An unlikely one is left out.
    assert not picture[:, 26 + 18, 6 + 128 + 6 + 2 : 6 + 128 + 6 + 18].any()
