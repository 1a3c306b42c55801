import pytest
import torch
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign

from tests.detection.scenes import random_boxes
from visiontasks.detection.roi_align import align_by_rows, align_by_torchvision, assign_levels, roi_align

STRIDES = (4, 8, 16, 32)
SIZE = (256, 320)


@pytest.fixture
def features() -> list[Tensor]:
    return [torch.rand(3, 6, SIZE[0] // stride, SIZE[1] // stride, requires_grad=True) for stride in STRIDES]


@pytest.fixture
def boxes() -> Tensor:
    """Of all sizes, and some at the borders, outside, and without area."""
    small, large = random_boxes(40, side=100.0), random_boxes(40, side=300.0, least=30.0)
    special = [
        [0.0, 0, 320, 256],
        [-90, -90, 400, 410],
        [319.5, 255.5, 320, 256],
        [300, 200, 330, 270],
        [-20, -9, 5, 5],
        [0, 0, 0, 0],
    ]
    return torch.cat([small, large, torch.tensor(special)])


@pytest.mark.parametrize("method", [align_by_rows, align_by_torchvision], ids=["rows", "torchvision"])
@pytest.mark.parametrize("size", [(7, 7), (3, 5)])
def test_features_and_gradients_are_torchvisions(
    method: type, size: tuple[int, int], features: list[Tensor], boxes: Tensor
) -> None:
    images = torch.arange(len(boxes)) % 3
    found = method(features, STRIDES, boxes, images, assign_levels(boxes, STRIDES), size)
    pool = MultiScaleRoIAlign(["0", "1", "2", "3"], size, sampling_ratio=2)
    order = torch.cat([(images == image).nonzero().flatten() for image in range(3)])
    named = {str(level): feature for level, feature in enumerate(features)}
    expected = pool(named, [boxes[images == image] for image in range(3)], [SIZE] * 3).permute(0, 2, 3, 1)
    torch.testing.assert_close(found[order], expected, rtol=1e-4, atol=1e-5)
    direction = torch.rand_like(expected)
    ours = torch.autograd.grad((found[order] * direction).sum(), features)
    theirs = torch.autograd.grad((expected * direction).sum(), features)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
        assert b.any()


def test_both_ways_read_maps_of_half_precision(features: list[Tensor], boxes: Tensor) -> None:
    half = [feature.detach().bfloat16() for feature in features]
    images = torch.arange(len(boxes)) % 3
    levels = assign_levels(boxes, STRIDES)
    rows = align_by_rows(half, STRIDES, boxes, images, levels, (7, 7))
    other = align_by_torchvision(half, STRIDES, boxes, images, levels, (7, 7))
    assert rows.dtype == other.dtype == torch.bfloat16
    torch.testing.assert_close(rows.float(), other.float(), rtol=0, atol=0.01)


def test_a_single_map_is_read_by_all(boxes: Tensor) -> None:
    feature = torch.rand(1, 4, 16, 20)
    inside = boxes[:80]
    found = roi_align([feature], (16,), inside, torch.zeros(80, dtype=torch.int64))
    pool = MultiScaleRoIAlign(["0"], 7, sampling_ratio=2)
    torch.testing.assert_close(found.permute(0, 3, 1, 2), pool({"0": feature}, [inside], [SIZE]), rtol=1e-4, atol=1e-5)


def test_no_regions_have_no_features(features: list[Tensor]) -> None:
    found = roi_align(features, STRIDES, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert found.shape == (0, 7, 7, 6)


def test_strides_may_leave_steps_out() -> None:
    sides = torch.tensor([10.0, 112, 223, 224, 448, 5000])
    boxes = torch.stack([torch.zeros(6), torch.zeros(6), sides, sides], 1)
    assert assign_levels(boxes, (4, 16)).tolist() == [0, 0, 0, 1, 1, 1]
