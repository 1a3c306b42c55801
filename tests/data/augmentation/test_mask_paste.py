"""Pasted masks, against masks of the whole image, cut one by one."""

from random import Random

import numpy as np
import pytest

from tests.test_instance_masks import drawn
from visiontasks.data.augmentation.copy_paste import choose
from visiontasks.data.augmentation.mask_paste import Instances, paste_masks
from visiontasks.instance_masks import pack_masks


def scene(random: np.random.Generator, height: int, width: int, unknown: bool) -> tuple[np.ndarray, np.ndarray]:
    """Draw masks of ellipses, some of which are not known, and the boxes around them, somewhat too large."""
    rows, columns = np.mgrid[:height, :width]
    masks, boxes = [], []
    for number in range(int(random.integers(0, 6))):
        y, x = random.uniform(0, [height, width])
        radii = random.uniform(2, 9, 2)
        mask = ((rows - y) / radii[0]) ** 2 + ((columns - x) / radii[1]) ** 2 < 1
        if not mask.any():
            continue
        boxes.append(around(mask) + [0, 0, 0.25, 0.5] if number else around(mask))
        masks.append(mask & ~(unknown and number % 3 == 1))
    placed = np.array(boxes, np.float64).reshape(-1, 4).clip(0, [width, height] * 2)
    return np.array(masks, np.uint8).reshape(-1, height, width), placed


def around(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float64)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("visible", [0.0, 0.1, 0.5])
def test_masks_are_pasted_exactly_and_cut_what_lies_below(seed: int, visible: float) -> None:
    random = np.random.default_rng(seed)
    (height, width), (other_height, other_width) = random.integers(12, 40, (2, 2)).tolist()
    pixels, other_pixels = np.full((height, width, 3), 1, np.uint8), np.full((other_height, other_width, 3), 2, np.uint8)
    masks, boxes = scene(random, height, width, unknown=True)
    others, other_boxes = scene(random, other_height, other_width, unknown=False)
    chosen = choose(np.arange(len(others)), Random(seed))
    pasted = paste_masks(
        pixels,
        Instances(boxes, *pack_masks(masks)),
        other_pixels,
        Instances(other_boxes, *pack_masks(others)),
        chosen,
        visible,
    )
    assert (pixels == 1).all()

    # Of each chosen object, what lies within the image is seen, if that is enough of it.
    shown, added = [], []
    for number in chosen:
        part = np.zeros((height, width), np.uint8)
        inside = others[number][:height, :width]
        part[: inside.shape[0], : inside.shape[1]] = inside
        if part.any() and part.sum() >= visible * others[number].sum():
            shown.append(part)
            added.append(int(number))
    covered = np.zeros((height, width), bool) | np.array(shown, bool).reshape(-1, height, width).any(0)
    np.testing.assert_array_equal(pasted.pixels, np.where(covered, 2, 1)[:, :, None].repeat(3, 2))
    rests, kept = [], []
    for number, mask in enumerate(masks):
        whole = mask
        if not mask.any():
            x0, y0, x1, y1 = boxes[number].round().astype(int)
            whole = np.zeros_like(mask)
            whole[y0:y1, x0:x1] = 1
        left = whole & ~covered
        if left.any() and left.sum() >= visible * whole.sum():
            rests.append(mask & ~covered)
            kept.append(number)
    assert (pasted.kept.tolist(), pasted.added.tolist()) == (kept, added)
    result = drawn(pasted.instances.bits, pasted.instances.windows, (height, width))
    np.testing.assert_array_equal(result, np.array([*rests, *shown], np.uint8).reshape(-1, height, width))

    # Boxes stay where nothing was cut from the mask, and are otherwise around what is left.
    before = [(masks[n], boxes[n]) for n in kept] + [(others[n], other_boxes[n]) for n in added]
    for box, mask, (whole, given) in zip(pasted.instances.boxes, result, before, strict=True):
        uncut = mask.sum() == whole.sum()
        np.testing.assert_array_equal(box, given.clip(0, [width, height] * 2) if uncut else around(mask))


def test_an_object_that_is_covered_goes_with_its_mask() -> None:
    masks = np.zeros((2, 8, 8), np.uint8)
    masks[0, 2:4, 2:4], masks[1, 6:, 6:] = 1, 1
    above = np.zeros((1, 8, 8), np.uint8)
    above[0, 1:5, 1:5] = 1
    black, white = np.zeros((8, 8, 1), np.uint8), np.full((8, 8, 1), 255, np.uint8)
    own = Instances(np.array([around(mask) for mask in masks]), *pack_masks(masks))
    pasted = paste_masks(black, own, white, Instances(around(above[0])[None], *pack_masks(above)), np.array([0]), 0.1)
    assert pasted.kept.tolist() == [1]
    assert pasted.instances.boxes.tolist() == [[6, 6, 8, 8], [1, 1, 5, 5]]
    np.testing.assert_array_equal(drawn(pasted.instances.bits, pasted.instances.windows, (8, 8)), [masks[1], above[0]])
