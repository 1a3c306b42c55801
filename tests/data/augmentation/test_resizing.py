"""Policies of resizing, on drawn rectangles."""

from random import Random

import numpy as np
import pytest

from visiontasks.data.augmentation.resizing import RandomResizedCrop, RandomScaledCrop, Resizing, Stretch, Whole, Within
from visiontasks.data.augmentation.windows import Window, clip_boxes, show_boxes, show_image, show_mask
from visiontasks.errors import ArgumentError

POLICIES = [
    Whole(),
    Stretch((60, 40)),
    RandomResizedCrop((48, 64)),
    Within(shorter=90, longer=200),
    Within(shorter=(30, 60, 90), longer=100),
    RandomScaledCrop((50, 70)),
    RandomScaledCrop((200, 150), scale=(0.5, 0.6)),
]


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@pytest.mark.parametrize("seed", range(10))
def test_a_box_stays_on_its_object(policy: Resizing, seed: int) -> None:
    random = Random(seed)
    height, width = random.randint(60, 120), random.randint(60, 120)
    left, top = random.randint(0, 30), random.randint(0, 30)
    box = np.array([[left, top, left + 28, top + 24]], np.float64)
    image = np.zeros((height, width, 3), np.uint8)
    image[top : top + 24, left : left + 28] = 255
    mask = (image[:, :, 0] == 255).astype(np.uint8)
    window = policy.window(height, width, random)
    shown, shown_mask = show_image(image, window), show_mask(mask, window)
    assert shown.shape == (*window.size, 3)
    assert set(np.unique(shown_mask)) <= {0, 1, 255}
    (found,), (inside,) = clip_boxes(show_boxes(box, window), window.size)
    for pixels in (shown[:, :, 0] > 127, shown_mask == 1):
        rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
        if not inside or min(found[2:] - found[:2]) < 2:
            assert len(rows) <= 2 or len(columns) <= 2
            continue
        edges = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(edges, found, atol=max(1.0, 0.6 * window.size[0] / window.height))


def test_crops_are_inside_the_image_and_in_their_bounds() -> None:
    policy, random = RandomResizedCrop((32, 32), area=(0.2, 0.5)), Random(0)
    windows = [policy.window(100, 150, random) for _ in range(300)]
    shares = [window.height * window.width / 15_000 for window in windows]
    assert min(shares) > 0.19
    assert max(shares) < 0.51
    assert all(0 <= window.top <= 100 - window.height and 0 <= window.left <= 150 - window.width for window in windows)
    assert len({window.top for window in windows}) > 20
    # An image so long that no part of a tenth fits in the ratios.
    assert RandomResizedCrop((8, 8), area=(0.9, 1)).window(10, 1000, random) == Window(0, 493, 10, 13, (8, 8))


def test_a_scaled_crop_covers_all_places() -> None:
    policy, random = RandomScaledCrop((50, 50), scale=(1, 1)), Random(0)
    windows = [policy.window(60, 40, random) for _ in range(500)]
    assert {window.top for window in windows} == set(range(11))
    assert {window.left for window in windows} == set(range(-10, 1))
    scales = [50 / RandomScaledCrop((50, 50)).window(200, 200, random).height for _ in range(300)]
    assert 0.5 <= min(scales) < 0.6
    assert 1.8 < max(scales) <= 2.05


def test_bounds_of_sides() -> None:
    assert Within(800, 1333).window(1000, 1000, Random(0)).size == (800, 800)
    assert Within(800, 1333).window(2000, 1000, Random(0)).size == (1333, 666)
    drawn = {Within((10, 20), 100).window(50, 50, Random(seed)).size for seed in range(20)}
    assert drawn == {(10, 10), (20, 20)}
    assert Within(1, 5).window(1, 900, Random(0)).size == (1, 5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Stretch((0, 4)), r"size is \(0, 4\)"),
        (lambda: RandomResizedCrop((4, 4), area=(0.5, 1.5)), r"area is \(0\.5, 1\.5\).*up to 1"),
        (lambda: RandomScaledCrop((4, 4), scale=(2, 1)), r"scale is \(2, 1\)"),
        (lambda: Within(()), r"shorter is \(\)"),
    ],
)
def test_impossible_policies_are_an_error(make: type[Resizing], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


def test_a_policy_is_described_in_plain_types() -> None:
    assert Within((480, 800), 1333).describe() == {"policy": "Within", "shorter": (480, 800), "longer": 1333}
