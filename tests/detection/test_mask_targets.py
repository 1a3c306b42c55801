from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import project_masks_on_boxes

from tests.detection.instance_scenes import ellipses, pack_all
from tests.detection.scenes import random_boxes
from visiontasks.detection import mask_targets
from visiontasks.detection.mask_targets import crop_masks, draw_at_once, draw_one_by_one

SIZES = [(90, 130), (128, 100), (77, 60)]
LIMITS = (128, 160)


@pytest.fixture
def masks() -> list[Tensor]:
    """Masks of five, none and three objects: ellipses, one that ends at the border of its image, and an empty one."""
    scenes = []
    for size, count in zip(SIZES, (5, 0, 3), strict=True):
        scenes.append(ellipses(random_boxes(count, side=90.0, least=5.0), size))
    scenes[0][1, 40:, 50:] = 1
    scenes[0][2] = 0
    return scenes


def regions_of(sizes: list[tuple[int, int]], count: int) -> Tensor:
    """Regions of all sizes inside the images, whole images among them."""
    boxes = random_boxes(len(sizes), count, side=85.0, least=1.0)
    boxes[:, ::3, 2:] += 60
    for image, (height, width) in enumerate(sizes):
        boxes[image, 0] = torch.tensor([0.0, 0, width, height])
        boxes[image, 1] = torch.tensor([width - 20.5, height - 30.25, width, height])
        boxes[image] = torch.minimum(boxes[image], torch.tensor([width, height, width, height]).float())
    return boxes


@pytest.mark.parametrize("draw", [draw_one_by_one, draw_at_once])
@pytest.mark.parametrize("pixels", [2**23, 1, 3 * LIMITS[0] * LIMITS[1]])
def test_cut_masks_are_torchvisions(
    masks: list[Tensor], pixels: int, draw: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask_targets, "PIXELS", pixels)
    monkeypatch.setattr(mask_targets, "draw_one_by_one", draw)
    bits, windows = pack_all(masks)
    boxes = regions_of(SIZES, 40)
    objects = torch.randint(5, (3, 40)) % torch.tensor([[5], [1], [3]])
    found = crop_masks(bits, windows, torch.tensor(SIZES), boxes, objects, LIMITS)
    assert found.shape == (3, 40, 28, 28)
    for image in (0, 2):
        expected = project_masks_on_boxes(masks[image], boxes[image], objects[image], 28)
        torch.testing.assert_close(found[image], expected, rtol=0, atol=1e-5)
        assert ((expected > 0) & (expected < 1)).any()
    assert not found[1].any()


@pytest.mark.parametrize("draw", [draw_one_by_one, draw_at_once])
def test_no_masks_are_zeros(draw: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_targets, "draw_one_by_one", draw)
    bits, windows = torch.zeros(2, 0, dtype=torch.uint8), torch.zeros(2, 1, 4, dtype=torch.int64)
    boxes = random_boxes(2, 3)
    found = crop_masks(bits, windows, torch.tensor([[100, 100]] * 2), boxes, torch.zeros(2, 3).long(), (100, 100), 7)
    assert found.shape == (2, 3, 7, 7)
    assert not found.any()
