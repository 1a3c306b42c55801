import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import Matcher as TorchvisionMatcher
from torchvision.ops import box_iou

from tests.detection.scenes import random_boxes, random_targets
from visiontasks.detection.matcher import Matcher, Targets


@pytest.mark.parametrize(
    ("positive", "negative", "allow_low_quality_matches"), [(0.7, 0.3, True), (0.5, 0.5, False), (0.4, 0.1, False)]
)
def test_matches_are_torchvisions(positive: float, negative: float, allow_low_quality_matches: bool) -> None:
    counts = [5, 1, 9]
    targets = random_targets(counts)
    candidates = random_boxes(3, 400)
    states, objects = Matcher(positive, negative, allow_low_quality_matches)(targets, candidates)
    theirs = TorchvisionMatcher(positive, negative, allow_low_quality_matches=allow_low_quality_matches)
    for image, count in enumerate(counts):
        found = theirs(box_iou(targets.boxes[image, :count], candidates[image]))
        expected = torch.where(found >= 0, 1, torch.where(found == -1, 0, -1))
        assert torch.equal(states[image], expected)
        assert torch.equal(objects[image][found >= 0], found[found >= 0])


def test_shared_candidates_are_those_of_every_image() -> None:
    targets, candidates = random_targets([4, 2]), random_boxes(1, 100)
    matcher = Matcher(0.5, 0.2, allow_low_quality_matches=True)
    for a, b in zip(matcher(targets, candidates), matcher(targets, candidates.expand(2, -1, -1)), strict=True):
        assert torch.equal(a, b)


def test_images_without_objects_are_all_background() -> None:
    nothing = Targets(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.int64), torch.zeros(2, 0, dtype=torch.bool))
    padded = nothing.padded()
    assert padded.labels.tolist() == [[-1], [-1]]
    assert padded.padded() is padded
    states, _ = Matcher(0.7, 0.3, allow_low_quality_matches=True)(padded, random_boxes(2, 20))
    assert not states.any()


def test_an_object_that_overlaps_with_nothing_has_no_low_quality_matches() -> None:
    targets = Targets(torch.tensor([[[900.0, 900, 910, 910]]]), torch.tensor([[0]]), torch.tensor([[False]]))
    states, _ = Matcher(0.7, 0.3, allow_low_quality_matches=True)(targets, random_boxes(1, 20))
    assert not states.any()


def test_ignored_objects_match_nothing_and_cover_the_background() -> None:
    crowd, cell = [0.0, 0, 100, 100], [0.0, 0, 10, 10]
    targets = Targets(torch.tensor([[crowd, cell]]), torch.tensor([[1, 0]]), torch.tensor([[True, False]]))
    inside, half, mostly_outside, outside = [20.0, 20, 40, 40], [50, 0, 150, 10], [60, 0, 160, 10], [200, 200, 220, 220]
    candidates = torch.tensor([[cell, inside, half, mostly_outside, outside, crowd]])
    states, objects = Matcher(0.5, 0.5)(targets, candidates)
    assert states.tolist() == [[1, -1, -1, 0, 0, -1]]
    assert objects[0, 0] == 1


def test_each_pair_is_intersected_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Tensor] = []
    maximum = torch.maximum

    def counted(a: Tensor, b: Tensor) -> Tensor:
        calls.append(a)
        return maximum(a, b)

    monkeypatch.setattr(torch, "maximum", counted)
    Matcher(0.7, 0.3, allow_low_quality_matches=True)(random_targets([4, 2]), random_boxes(2, 50))
    assert len(calls) == 2  # left and top
