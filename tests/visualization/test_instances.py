"""Drawn masks of instances."""

import numpy as np
import torch
from PIL import Image

from visiontasks.instance_masks import pack_masks
from visiontasks.types import InstanceBatch
from visiontasks.visualization import class_color, draw_sample
from visiontasks.visualization.colors import IGNORED_COLOR
from visiontasks.visualization.instances import paint_instances

RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_pixels_are_tinted_and_outlined_and_no_others_change() -> None:
    mask = np.zeros((20, 30), bool)
    mask[4:12, 5:17] = True
    mask[7, 9] = False  # a hole has an outline as well
    grey = Image.new("RGB", (30, 20), (100, 100, 100))
    (bits, windows), drawn = pack_masks(mask[None]), mask[4:12, 5:17]
    assert len(bits)
    pixels = np.array(paint_instances(grey, [(windows[0].tolist(), drawn)], (20, 30), [RED]))
    assert (np.array(grey) == 100).all()
    assert (pixels[~mask] == 100).all()
    padded = np.pad(mask, 1)
    inner = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    assert (pixels[mask & ~inner] == RED).all()
    assert (pixels[inner] == [170, 55, 55]).all()


def test_masks_of_the_original_image_lie_on_a_picture_of_any_size() -> None:
    mask = np.zeros((21, 34), np.uint8)
    mask[3:17, 8:34] = 1
    for size in ((68, 42), (17, 11), (34, 21), (90, 13)):
        black = Image.new("RGB", size)
        painted = np.array(paint_instances(black, [((8, 3, 34, 17), mask[3:17, 8:34])], mask.shape, [RED])).any(2)
        # Each pixel of the picture shows the pixel of the mask at its centre.
        rows = ((np.arange(size[1]) + 0.5) * 21 / size[1]).astype(int)
        columns = ((np.arange(size[0]) + 0.5) * 34 / size[0]).astype(int)
        np.testing.assert_array_equal(painted, mask[np.ix_(rows, columns)] != 0)


def test_objects_have_colours_of_their_own_and_crowds_none() -> None:
    masks = np.zeros((3, 64, 64), np.uint8)
    masks[0, 2:12, 2:62], masks[1, 22:32, 2:62], masks[2, 42:52, 2:62] = 1, 1, 1
    bits, windows = pack_masks(masks)
    size, boxes = torch.tensor([[64, 64]]), torch.from_numpy(windows).float()[None]
    sample = InstanceBatch(
        torch.full((1, 3, 64, 64), 100, dtype=torch.uint8),
        boxes,
        torch.tensor([[1, 1, 1]]),
        torch.tensor([[False, False, True]]),
        size,
        torch.ones(1, 2),
        torch.zeros(1, dtype=torch.int64),
        torch.ones(1, 3),
        torch.from_numpy(bits)[None],
        torch.from_numpy(windows)[None],
        size,
    )
    picture, title = draw_sample(sample, ["cat", "dog"])
    assert title == "3 objects"
    pixels = picture.permute(1, 2, 0).numpy()
    for row, color in ((5, class_color(0)), (25, class_color(1)), (45, IGNORED_COLOR)):
        tinted = np.round(0.55 * np.array([100, 100, 100]) + 0.45 * np.array(color))
        assert (pixels[5 * row + 12, 250] == tinted).all()
