"""Soft suppression against the loop of the paper."""

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.detection.scenes import random_boxes
from visiontasks.detection.roi_head import Candidates, RoIHead
from visiontasks.detection.soft_nms import soft_nms
from visiontasks.errors import ArgumentError

Method = Literal["linear", "gaussian"]


def iou(one: np.ndarray, other: np.ndarray) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return float(width * height / (sum(areas) - width * height))


def by_loop(boxes: Tensor, scores: Tensor, method: Method, threshold: float, least: float) -> dict[int, float]:
    """Bodla et al., figure 2: detections by position, with their scores."""
    left = {index: float(score) for index, score in enumerate(scores)}
    taken = {}
    while left:
        best = max(left, key=lambda index: left[index])
        score = left.pop(best)
        if score <= least:
            break
        taken[best] = score
        for index in left:
            overlap = iou(boxes[best].double().numpy(), boxes[index].double().numpy())
            if method == "gaussian":
                left[index] *= math.exp(-(overlap**2) / 0.5)
            elif overlap > threshold:
                left[index] *= 1 - overlap
    return taken


@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_scores_are_those_of_the_loop_in_each_group(method: Method) -> None:
    torch.manual_seed(0)
    boxes, scores = random_boxes(150, side=60.0, least=10.0), torch.rand(150).clamp(min=0.01)
    groups = torch.randint(4, (150,)) * 3  # not all numbers have boxes
    lowered = soft_nms(boxes, scores, groups, method, 0.3, 0.05, 1000)
    changed = 0
    for group in groups.unique():
        places = (groups == group).nonzero().flatten()
        expected = by_loop(boxes[places], scores[places], method, 0.3, 0.05)
        for position, place in enumerate(places.tolist()):
            assert float(lowered[place]) == pytest.approx(expected.get(position, 0.0), rel=1e-4)
            changed += float(lowered[place]) < float(scores[place])
    assert changed > 50
    assert len(lowered[lowered > 0]) > 20


@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_no_more_than_the_limit_are_taken_and_none_of_nothing(method: Method) -> None:
    boxes, scores, groups = random_boxes(40), torch.rand(40) + 0.1, torch.arange(40) % 2
    everything = soft_nms(boxes, scores, groups, method, 0.3, 0.0, 40)
    few = soft_nms(boxes, scores, groups, method, 0.3, 0.0, 3)
    for group in range(2):
        own = groups == group
        best = everything[own].sort(descending=True).values[:3]
        assert torch.equal(few[own].sort(descending=True).values[:4], torch.cat([best, torch.zeros(1)]))
    assert len(soft_nms(boxes[:0], scores[:0], groups[:0], method, 0.3, 0.0, 3)) == 0


def head_with(method: Any) -> RoIHead:  # noqa: ANN401 - also an unknown one
    return RoIHead(4, (2, 2), 3, soft_nms=method, nms_thresh=0.3, detections_per_img=12)


@pytest.mark.parametrize("method", ["linear", "gaussian"])
def test_detections_of_images_are_those_of_the_loop(method: Method) -> None:
    torch.manual_seed(1)
    boxes, scores = random_boxes(200, side=60.0, least=10.0), torch.rand(200).clamp(min=0.06)
    labels, images = torch.randint(3, (200,)), torch.randint(2, (200,))
    found = head_with(method).select(Candidates(boxes, scores, labels, images), 3)
    for image in range(2):
        expected = []
        for label in range(3):
            places = ((labels == label) & (images == image)).nonzero().flatten()
            for position, score in by_loop(boxes[places], scores[places], method, 0.3, 0.05).items():
                expected.append((score, label, boxes[places[position]]))
        expected = sorted(expected, key=lambda row: -row[0])[:12]
        assert found.scores[image].tolist() == pytest.approx([score for score, _, _ in expected], rel=1e-4)
        assert found.labels[image].tolist() == [label for _, label, _ in expected]
        assert torch.equal(found.boxes[image], torch.stack([box for _, _, box in expected]))
    assert found.labels[2].eq(-1).all()


@pytest.mark.unchecked
def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"box_soft_nms is 'softer'"):
        head_with("softer")
