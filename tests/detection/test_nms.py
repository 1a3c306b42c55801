import pytest
import torch
from torchvision.ops import batched_nms, nms

from tests.detection.scenes import random_boxes
from tests.pretended_gpu import GPU, pretended_gpu
from visiontasks.detection import nms as own
from visiontasks.detection.nms import grouped_nms, suppress, suppress_in_passes


@pytest.mark.parametrize("method", [suppress, suppress_in_passes], ids=["operator", "passes"])
def test_boxes_that_stay_are_torchvisions(method: type) -> None:
    # Dense, so that chains of suppressed boxes are long.
    boxes = random_boxes(3, 1500, side=120.0, least=20.0)
    valid = torch.rand(3, 1500) < 0.9
    keep = method(boxes, valid, 0.5)
    for group in range(3):
        places = valid[group].nonzero().flatten()
        expected = places[nms(boxes[group][places], -places.float(), 0.5)]
        assert torch.equal(keep[group].nonzero().flatten(), expected.sort().values)
        assert len(expected) < len(places) / 2


def test_only_boxes_of_the_same_class_make_others_go() -> None:
    boxes = random_boxes(3, 800, side=120.0, least=20.0)
    valid, labels = torch.rand(3, 800) < 0.9, torch.randint(4, (3, 800))
    expected = torch.zeros_like(valid)
    for label in range(4):
        own = valid & (labels == label)
        expected |= suppress(boxes, own, 0.5)
    assert torch.equal(suppress(boxes, valid, 0.5, labels), expected)
    assert torch.equal(suppress_in_passes(boxes, valid, 0.5, labels), expected)


def test_nothing_stays_of_nothing() -> None:
    for method in (suppress, suppress_in_passes):
        assert not method(torch.zeros(2, 5, 4), torch.zeros(2, 5, dtype=torch.bool), 0.5).any()


def test_groups_do_not_suppress_each_other() -> None:
    boxes, scores, groups = random_boxes(2000, least=10.0), torch.rand(2000), torch.randint(7, (2000,))
    kept = grouped_nms(boxes, scores, groups, 0.5)
    assert torch.equal(kept, batched_nms(boxes, scores, groups, 0.5))
    assert len(grouped_nms(boxes[:0], scores[:0], groups[:0], 0.5)) == 0


def test_on_a_gpu_small_groups_share_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes, scores, groups = random_boxes(2000, least=10.0) - 40, torch.rand(2000), torch.randint(200, (2000,))
    expected = grouped_nms(boxes, scores, groups, 0.5)
    called: list[int] = []

    def counted(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> torch.Tensor:
        called.append(len(boxes))
        kept: torch.Tensor = nms(boxes, scores, threshold)
        return kept

    monkeypatch.setattr(own, "nms", counted)
    monkeypatch.setattr(own, "_AT_ONCE", 900)
    with pretended_gpu():
        kept = grouped_nms(boxes.to(GPU), scores.to(GPU), groups.to(GPU), 0.5).cpu()
        assert len(grouped_nms(boxes[:0].to(GPU), scores[:0].to(GPU), groups[:0].to(GPU), 0.5)) == 0
    assert torch.equal(kept, expected)
    assert len(called) == 3
    assert sum(called) == 2000


def test_of_equal_scores_the_first_comes_first() -> None:
    boxes = torch.tensor([[0.0, 0, 1, 1], [10, 10, 11, 11], [20, 20, 21, 21]])
    kept = grouped_nms(boxes, torch.tensor([0.5, 0.5, 0.7]), torch.tensor([1, 0, 0]), 0.5)
    assert kept.tolist() == [2, 0, 1]
