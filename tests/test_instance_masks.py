"""Masks of instances as bits."""

import numpy as np
import pytest
import torch

from visiontasks.data.loading.collate import collate
from visiontasks.instance_masks import pack_masks, pack_parts, take_masks, unpack_masks
from visiontasks.types import InstanceBatch


def drawn(bits: np.ndarray, windows: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    masks = np.zeros((len(windows), *size), np.uint8)
    for mask, (left, top, right, bottom), part in zip(masks, windows, unpack_masks(bits, windows), strict=True):
        mask[top:bottom, left:right] = part
    return masks


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8])
def test_masks_are_what_they_were(dtype: type) -> None:
    random = np.random.default_rng(0)
    masks: np.ndarray = (random.random((6, 13, 21)) < 0.1).astype(dtype)
    masks[2] = 0
    masks[3] = 1
    bits, windows = pack_masks(masks)
    np.testing.assert_array_equal(drawn(bits, windows, (13, 21)), masks.astype(np.uint8))
    assert windows[2].tolist() == [0, 0, 0, 0]
    assert windows[3].tolist() == [0, 0, 21, 13]
    assert bits.dtype == np.uint8
    assert windows.dtype == np.int64


def test_no_objects_have_no_bits() -> None:
    bits, windows = pack_masks(np.zeros((0, 4, 5), bool))
    assert bits.shape == (0,)
    assert windows.shape == (0, 4)


def test_a_batch_pads_them() -> None:
    random = np.random.default_rng(1)
    masks = [random.random((count, 9, 17)) < 0.3 for count in (1, 4, 0)]
    samples = []
    for index, of_image in enumerate(masks):
        bits, windows = map(torch.from_numpy, pack_masks(of_image))
        count, size = len(of_image), torch.tensor([9, 17])
        objects = torch.zeros(count, 4), torch.zeros(count, dtype=torch.int64), torch.zeros(count, dtype=torch.bool)
        one = torch.ones(2)
        samples.append(
            InstanceBatch(
                torch.zeros(3, 9, 17, dtype=torch.uint8), *objects, size, one, torch.tensor(index),
                torch.zeros(count), bits, windows, size,
            )
        )  # fmt: skip
    batch = collate(samples)
    assert batch.mask_windows.shape == (3, 4, 4)
    for of_image, bits, windows in zip(masks, batch.mask_bits.numpy(), batch.mask_windows.numpy(), strict=True):
        found = drawn(bits, windows, (9, 17))
        np.testing.assert_array_equal(found[: len(of_image)], of_image.astype(np.uint8))
        assert not found[len(of_image) :].any()


def test_the_masks_of_some_objects_in_any_order() -> None:
    random = np.random.default_rng(2)
    masks = random.random((8, 13, 21)) < 0.2
    masks[3] = False
    packed = pack_masks(masks)
    padded = np.concatenate([packed[0], np.full(5, 255, np.uint8)])  # as in a batch
    for objects in ([], [7], [5, 3, 0], [*range(8)]):
        taken = np.array(objects, np.int64)
        for found, expected in zip(take_masks(padded, packed[1], taken), pack_masks(masks[taken]), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_parts_of_an_image_are_packed_as_the_whole_masks() -> None:
    whole = np.zeros((3, 13, 21), np.uint8)
    whole[0, 3:9, 4:11] = np.random.default_rng(3).random((6, 7)) < 0.4
    whole[2, 12, 20] = 1
    parts, corners = [whole[0, 2:10, 3:15], whole[1, :0, :0], whole[2, 10:, 20:]], [(3, 2), (0, 0), (20, 10)]
    for found, expected in zip(pack_parts(parts, corners), pack_masks(whole), strict=True):
        np.testing.assert_array_equal(found, expected)
