import tracemalloc

import numpy as np
import pytest
import torch
from torchvision.models.detection.roi_heads import paste_masks_in_image

from visiontasks.detection.mask_pasting import Pasted, paste_masks


def whole(pasted: Pasted, size: tuple[int, int]) -> np.ndarray:
    """Place the mask in its image."""
    (left, top, right, bottom), mask = pasted
    image = np.zeros(size, np.uint8)
    image[top:bottom, left:right] = mask
    return image


def random_boxes(count: int, size: tuple[int, int], beyond: float = 0.0) -> torch.Tensor:
    """Boxes of all sizes, down to less than a pixel, which may reach beyond the image."""
    sides = torch.exp(torch.rand(count, 2) * 6 - 1)
    corners = (torch.rand(count, 2) * (1 + 2 * beyond) - beyond) * (torch.tensor(size).flip(0) - sides)
    return torch.cat([corners, corners + sides], 1)


@pytest.mark.parametrize("seed", range(4))
def test_masks_are_those_of_torchvision(seed: int) -> None:
    torch.manual_seed(seed)
    size = (150, 201)
    boxes = random_boxes(60, size, beyond=0.1 * seed)
    # Smooth grids, random ones, and ones of zeros and ones, whose edges are exactly at 0.5.
    probabilities = torch.rand(60, 28, 28)
    probabilities[:20] = torch.nn.functional.interpolate(torch.rand(20, 1, 4, 4), (28, 28), mode="bicubic")[:, 0]
    probabilities[40:] = probabilities[40:].round()
    inside = (boxes[:, :2] < torch.tensor([201, 150])).all(1) & (boxes[:, 2:] > 0).all(1)
    boxes, probabilities = boxes[inside], probabilities[inside]
    theirs = (paste_masks_in_image(probabilities[:, None], boxes, size)[:, 0] >= 0.5).numpy()
    ours = np.stack([whole(one, size) for one in paste_masks(probabilities, boxes, size)])
    assert theirs.any((1, 2)).mean() > 0.8
    np.testing.assert_array_equal(ours, theirs)


def test_a_threshold_of_ones_own_and_grids_of_any_size() -> None:
    torch.manual_seed(0)
    boxes, probabilities = random_boxes(10, (60, 60)), torch.rand(10, 14, 14)
    theirs = (paste_masks_in_image(probabilities[:, None], boxes, (60, 60))[:, 0] >= 0.8).numpy()
    ours = np.stack([whole(one, (60, 60)) for one in paste_masks(probabilities, boxes, (60, 60), threshold=0.8)])
    np.testing.assert_array_equal(ours, theirs)


def test_a_box_outside_of_the_image_has_no_pixels() -> None:
    boxes = torch.tensor([[30.0, 5, 50, 15], [-40, -40, -20, -20], [2, 2, 8, 8]])
    masks = [whole(one, (20, 20)) for one in paste_masks(torch.ones(3, 28, 28), boxes, (20, 20))]
    assert [int(mask.sum()) for mask in masks] == [0, 0, 64]


def test_no_masks() -> None:
    assert list(paste_masks(torch.zeros(0, 28, 28), torch.zeros(0, 4), (10, 10))) == []


def test_memory_is_that_of_one_window() -> None:
    boxes = torch.tensor([[100.0, 100, 200, 200]]).repeat(100, 1)
    probabilities = torch.rand(100, 28, 28)
    tracemalloc.start()
    for (left, top, right, bottom), mask in paste_masks(probabilities, boxes, (4000, 4000)):
        assert mask.shape == (bottom - top, right - left)
        assert mask.size < 112 * 112
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
