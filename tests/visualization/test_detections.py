from typing import Any

import numpy as np
import pytest
import torch

from visiontasks.instance_masks import pack_masks
from visiontasks.types import DetectionBatch, DetectionPredictions, InstanceBatch, InstancePredictions
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


def test_instances_have_a_colour_each_and_the_best_is_on_top() -> None:
    true = np.zeros((2, 80, 128), np.uint8)
    true[0, 20:60, 10:50] = 1
    true[1, 20:60, 50:90] = 1  # of the same class, and touching
    bits, windows = pack_masks(true)
    batch = InstanceBatch(
        torch.zeros(1, 3, 40, 64, dtype=torch.uint8),
        torch.tensor([[[5.0, 10, 25, 30], [25, 10, 45, 30]]]),
        torch.tensor([[1, 1]]),
        torch.tensor([[False, True]]),
        torch.tensor([[40, 64]]),
        torch.full((1, 2), 2.0),
        torch.tensor([0]),
        torch.zeros(1, 2),
        torch.from_numpy(bits)[None],
        torch.from_numpy(windows)[None],
        torch.tensor([[80, 128]]),
    )
    predictions = InstancePredictions(
        torch.tensor([[[5.0, 10, 25, 30], [15, 10, 45, 30], [1, 1, 9, 9]]]),
        torch.tensor([[0.9, 0.8, 0.2]]),
        torch.tensor([[1, 1, 0]]),
        torch.ones(1, 3, 28, 28),
    )
    picture = draw_detections(batch, predictions, ["cat", "dog"], side=128, columns=2)
    top, left, right = 26, 6, 6 + 128 + 6
    first, second = (0.45 * torch.tensor(class_color(number)).double() for number in range(2))
    assert picture[:, top + 40, left + 30].tolist() == first.round().tolist()
    assert len(set(picture[:, top + 40, left + 70].tolist())) == 1  # the ignored one is grey
    assert picture[:, top + 40, right + 20].tolist() == first.round().tolist()
    assert picture[:, top + 40, right + 70].tolist() == second.round().tolist()
    # Where both are, the first is on top.
    assert picture[:, top + 40, right + 40].tolist() == (0.55 * second.round() + first).round().tolist()
    assert not picture[:, top + 6, right + 6].any()  # an unlikely one is left out
