"""Large-scale jitter: what is shown of an image, and where its boxes are then."""

from random import Random

import numpy as np
import pytest

from visiontasks.data.augmentation.large_scale_jitter import LargeScaleJitter
from visiontasks.data.augmentation.presets import detection_resizing
from visiontasks.data.augmentation.resizing import Within
from visiontasks.data.augmentation.windows import clip_boxes, show_boxes, show_image
from visiontasks.errors import ArgumentError


def test_images_are_a_tenth_to_twice_as_large_and_no_more_of_them_is_shown_than_fits() -> None:
    policy, random, factors = detection_resizing("large-scale-jitter+copy-paste", 400, 600), Random(0), []
    assert policy == LargeScaleJitter(400, 600, (0.1, 2.0))
    places = set()
    for _ in range(2000):
        height, width = random.randint(200, 900), random.randint(200, 900)
        plain = Within(400, 600).window(height, width, random)
        window = policy.window(height, width, random)
        across, down = window.size[1] / window.width, window.size[0] / window.height
        factors.append(across / (plain.size[1] / width))
        # Both sides by the same factor, up to the rounding of sides to pixels.
        assert down / (plain.size[0] / height) == pytest.approx(factors[-1], rel=0.05)
        assert 0 <= window.top <= height - window.height
        assert 0 <= window.left <= width - window.width
        assert window.size[0] <= plain.size[0]
        assert window.size[1] <= plain.size[1]
        if factors[-1] > 1.05:
            assert window.size == plain.size
            places.add((window.top > 0, window.left > 0, window.top + window.height < height))
        if factors[-1] < 0.95:
            assert window[:4] == (0, 0, height, width)
    # Equally likely: half of them are below the middle of the range, and all of it is drawn from.
    assert 0.08 < min(factors) < 0.12
    assert 1.95 < max(factors) < 2.1
    assert np.mean(factors) == pytest.approx(1.05, abs=0.03)
    assert len(places) >= 4


@pytest.mark.parametrize("factor", [0.1, 0.25, 0.5, 1.0, 1.7, 2.0])
def test_a_box_shows_the_same_part_of_the_image(factor: float) -> None:
    # The red of a pixel is its column and the green its row, so that colours at a box's corners tell where it was.
    image = np.stack([np.tile(np.arange(160), (120, 1)), np.tile(np.arange(120), (160, 1)).T], 2).astype(np.uint8)
    for seed in range(20):
        random = Random(seed)
        left, top = random.randint(0, 60), random.randint(0, 40)
        box = np.array([[left, top, left + 80, top + 64]], np.float64)
        window = LargeScaleJitter(240, 320, (factor, factor)).window(120, 160, random)
        shown = show_image(image, window)
        ((x0, y0, x1, y1),), (inside,) = clip_boxes(show_boxes(box, window), window.size)
        if not inside or min(x1 - x0, y1 - y0) < 3:
            continue
        scale = window.width / window.size[1]
        part = shown[int(np.ceil(y0)) : int(y1), int(np.ceil(x0)) : int(x1)].astype(float)
        for channel, first, last in ((0, left, left + 80), (1, top, top + 64)):
            assert part[..., channel].min() >= first - 1 - scale
            assert part[..., channel].max() <= last + scale
            cut = (window.left, window.left + window.width, window.top, window.top + window.height)
            low, high = max(first, cut[2 * channel]), min(last, cut[2 * channel + 1])
            assert part[..., channel].min() <= low + 1 + 1.5 * scale
            assert part[..., channel].max() >= high - 2 - 1.5 * scale


def test_an_image_never_vanishes_and_bounds_are_checked() -> None:
    assert LargeScaleJitter(10, 20, (0.1, 0.1)).window(2, 900, Random(0)).size == (1, 2)
    with pytest.raises(ArgumentError, match=r"scale is \(2, 1\); expected the least and the largest value"):
        LargeScaleJitter(10, 20, (2, 1))
    with pytest.raises(ArgumentError, match="shorter is 0"):
        LargeScaleJitter(0, 20)
