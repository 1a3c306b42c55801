"""Masks as bits of planes, against the masks themselves."""

import numpy as np
import pytest

from visiontasks.data.augmentation.mask_planes import joined, pack_planes, paint_planes, separate
from visiontasks.instance_masks import pack_masks


def random_masks(count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    masks = (random.random((count, 13, 21)) < random.random((count, 1, 1))).astype(np.uint8)
    masks[1::5] = 0
    return masks


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 14, 30])
def test_masks_come_back_in_any_choice_and_order(count: int) -> None:
    masks = random_masks(count)
    planes = paint_planes(*pack_masks(masks), (13, 21))
    assert planes.shape == (-(-count // 7), 13, 21)
    for objects in (np.arange(count), np.random.default_rng(1).permutation(count)[: count // 2]):
        for found, expected in zip(pack_planes(planes, objects), pack_masks(masks[objects]), strict=True):
            np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(separate(planes, objects), masks[objects])
        np.testing.assert_array_equal(separate(joined(masks[objects], objects, count), objects), masks[objects])


def test_seven_masks_that_are_everywhere_are_not_what_lies_outside() -> None:
    planes = paint_planes(*pack_masks(np.ones((7, 4, 5), np.uint8)), (4, 5))
    assert (planes == 127).all()
    planes[:, :, :2] = 255
    assert pack_planes(planes, np.arange(7))[1].tolist() == [[2, 0, 5, 4]] * 7


def test_what_lies_outside_is_in_no_mask() -> None:
    masks = random_masks(9)
    planes = paint_planes(*pack_masks(masks), (13, 21))
    planes[:, 3:] = masks[:, 3:] = 255
    masks[masks == 255] = 0
    for found, expected in zip(pack_planes(planes, np.arange(9)), pack_masks(masks), strict=True):
        np.testing.assert_array_equal(found, expected)
    given = np.full((1, 4, 5), 255, np.uint8)
    assert not joined(given, np.array([2]), 3).any()
