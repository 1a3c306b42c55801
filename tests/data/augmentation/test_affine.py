import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from visiontasks.data.augmentation.affine import BatchAffine, Strength, uniform


def random_images(count: int, channels: int = 1, height: int = 24, width: int = 24) -> Tensor:
    return torch.randint(256, (count, channels, height, width), dtype=torch.uint8)


@pytest.mark.parametrize(
    "amounts",
    [{"degrees": 30.0}, {"translate": 0.2}, {"scale": 0.3}, {"degrees": 20.0, "translate": 0.1, "scale": 0.2}],
    ids=str,
)
@pytest.mark.parametrize("size", [(24, 24), (20, 32)])
def test_the_change_is_that_of_torchvision(amounts: dict[str, float], size: tuple[int, int]) -> None:
    images, ids = random_images(6, 2, *size), torch.arange(6)
    found = BatchAffine(**amounts, seed=3)(images, ids, epoch=2)
    drawn = uniform(3, 2, ids.numpy(), 5) * 2 - 1
    for image, change, numbers in zip(images, found, drawn.tolist(), strict=True):
        angle, scale = -numbers[0] * amounts.get("degrees", 0.0), 1 + numbers[1] * amounts.get("scale", 0.0)
        # Our shift says where a pixel comes from, before the rotation; torchvision's where it goes, after it.
        right, down = (
            -numbers[axis] * amounts.get("translate", 0.0) * side for axis, side in ((3, size[1]), (4, size[0]))
        )
        cos, sin = math.cos(math.radians(angle)) * scale, math.sin(math.radians(angle)) * scale
        expected = functional.affine(
            image.float(),
            angle=angle,
            translate=[cos * right - sin * down, sin * right + cos * down],
            scale=scale,
            shear=[0.0, 0.0],
            interpolation=v2.InterpolationMode.BILINEAR,
        )
        torch.testing.assert_close(change.float(), expected, rtol=0, atol=1)


def test_a_change_depends_on_seed_epoch_and_id_only() -> None:
    images, ids = random_images(64, 3), torch.arange(100, 164)
    change = BatchAffine.preset("strong", seed=5)
    assert change is not None
    together = change(images, ids, epoch=7)
    for position in (0, 13, 63):
        alone = change(images[position : position + 1], ids[position : position + 1], epoch=7)
        assert torch.equal(alone[0], together[position])
    order = torch.randperm(64)
    assert torch.equal(change(images[order], ids[order], epoch=7), together[order])
    assert torch.equal(BatchAffine.preset("strong", seed=5)(images, ids, 7), together)  # type: ignore[misc]  # not None
    assert not torch.equal(change(images, ids, epoch=8), together)
    assert not torch.equal(BatchAffine(15, 0.11, 0.15, 10, seed=6)(images, ids, 7), together)
    assert not torch.equal(change(images, ids + 1, epoch=7), together)


def test_shear_moves_rows_sideways_only() -> None:
    images = torch.zeros(20, 1, 21, 21, dtype=torch.uint8)
    images[:, :, :, 10] = 255
    found = BatchAffine(shear=30.0)(images, torch.arange(20), epoch=0).float()
    columns = (found * torch.arange(21.0)).sum(3) / found.sum(3)
    assert torch.allclose(columns[:, 0, 10], torch.tensor(10.0), atol=0.01)
    slopes = columns[:, 0, 15] - columns[:, 0, 10]
    assert torch.allclose(columns[:, 0, 5] - 10, -slopes, atol=0.1)
    assert 1 < slopes.abs().max() <= 5 * math.tan(math.radians(30)) + 0.1


@pytest.mark.parametrize("strength", ["light", "default", "strong"])
@pytest.mark.parametrize("channels", [1, 3])
def test_presets_keep_shape_kind_and_memory_format(strength: Strength, channels: int) -> None:
    images = random_images(4, channels).contiguous(memory_format=torch.channels_last)
    change = BatchAffine.preset(strength)
    assert change is not None
    found = change(images, torch.arange(4), epoch=0)
    assert (found.shape, found.dtype) == (images.shape, torch.uint8)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert not torch.equal(found, images)


def test_no_change_is_asked_for_by_name_or_by_nothing() -> None:
    assert BatchAffine.preset("none") is None
    images = random_images(3)
    assert torch.equal(BatchAffine()(images, torch.arange(3), epoch=0), images)


def test_an_empty_batch_stays_empty() -> None:
    empty = torch.zeros(0, 1, 8, 8, dtype=torch.uint8)
    assert BatchAffine(degrees=10)(empty, torch.zeros(0, dtype=torch.int64), epoch=0).shape == (0, 1, 8, 8)


def split_mix(state: int) -> int:
    """The finaliser of SplitMix64, in Python integers."""
    mask = (1 << 64) - 1
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    return state ^ (state >> 31)


def test_random_numbers_are_those_of_the_paper() -> None:
    golden, mask = 0x9E3779B97F4A7C15, (1 << 64) - 1
    found = uniform(seed=11, epoch=4, ids=np.array([0, 5, 10**12]), count=3)
    start = (11 * golden + 4 * 0xD1B54A32D192ED03 + 1) & mask
    for row, number in enumerate([0, 5, 10**12]):
        key = split_mix(split_mix((number + start) & mask))
        for column in range(3):
            value = split_mix((key + (column + 1) * golden) & mask)
            assert found[row, column] == np.float32((value >> 40) / 2**24)


def test_random_numbers_are_uniform_and_independent() -> None:
    numbers = uniform(seed=0, epoch=0, ids=np.arange(20_000), count=5)
    assert numbers.dtype == np.float32
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.stack([np.bincount((column * 10).astype(int), minlength=10) for column in numbers.T])
    # 2000 are expected in each tenth; the standard deviation is 42.
    assert np.abs(counts - 2000).max() < 220
    other = uniform(seed=0, epoch=1, ids=np.arange(20_000), count=1)
    table = np.corrcoef(np.concatenate([numbers, np.roll(numbers[:, :1], 1), other], axis=1).T)
    assert np.abs(table - np.eye(7)).max() < 0.035
