"""Crops of which no class fills too much, against plain loops."""

from pathlib import Path
from random import Random

import numpy as np
import pytest

from tests.data.datasets.image_files import Files
from visiontasks.data.augmentation.class_aware_crop import ClassAwareCrop, largest_share
from visiontasks.data.augmentation.resizing import RandomScaledCrop
from visiontasks.data.augmentation.windows import Window
from visiontasks.data.datasets.file_dataset import sample_seed
from visiontasks.data.datasets.tasks import SegmentationDataset
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.errors import ArgumentError


def share_in_loops(mask: np.ndarray, window: Window) -> float:
    counts: dict[int, int] = {}
    for row in range(window.top, window.top + window.height):
        for column in range(window.left, window.left + window.width):
            if 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1] and mask[row, column] != 255:
                value = int(mask[row, column])
                counts[value] = counts.get(value, 0) + 1
    return max(counts.values()) / sum(counts.values()) if counts else 1.0


def some_mask(seed: int) -> np.ndarray:
    """Draw a mask that is mostly of one class, with others and ignored pixels in a corner."""
    random = np.random.default_rng(seed)
    mask = np.zeros((40, 50), np.uint8)
    height, width = random.integers(5, 30, 2)
    mask[:height, :width] = random.choice([1, 2, 255], (height, width))
    return mask


@pytest.mark.parametrize("seed", range(20))
def test_a_crop_is_drawn_again_at_its_scale_while_one_class_fills_too_much(seed: int) -> None:
    mask, policy = some_mask(seed), ClassAwareCrop((16, 20), (0.5, 2.0), 0.75)
    chosen = policy.window_of_mask(mask, Random(seed))
    random = Random(seed)
    window = RandomScaledCrop((16, 20), (0.5, 2.0)).window(40, 50, random)
    drawn = [window]
    for _ in range(10):
        top, left = (random.randint(min(0, side), max(0, side)) for side in (40 - window.height, 50 - window.width))
        drawn.append(Window(top, left, window.height, window.width, (16, 20)))
    shares = [share_in_loops(mask, each) for each in drawn]
    assert [largest_share(mask, each) for each in drawn] == pytest.approx(shares)
    good = [each for each, share in zip(drawn, shares, strict=True) if share <= 0.75]
    assert chosen == (good or [drawn[-1]])[0]


def test_fewer_crops_are_of_one_class() -> None:
    shares = {policy: [largest_share(mask, policy.window_of_mask(mask, Random(seed)))
                       for seed in range(200) for mask in (some_mask(seed),)]
              for policy in (RandomScaledCrop((16, 20)), ClassAwareCrop((16, 20)))}  # fmt: skip
    plain, aware = (sum(share > 0.75 for share in found) for found in shares.values())
    assert plain > 1.5 * aware
    assert aware > 0  # some images have no better part


def test_a_limit_is_a_share() -> None:
    with pytest.raises(ArgumentError, match="largest_class is 75; expected 0 to 1"):
        ClassAwareCrop((8, 8), largest_class=75)


def test_image_and_mask_show_the_window_that_the_mask_decides_on(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.write_masks()
    crops = ClassAwareCrop((32, 40), (1.0, 1.0), 0.6)
    dataset, decided = SegmentationDataset(files, classes=5, resizing=crops, seed=2), 0
    for index in range(len(files)):
        batch = dataset[BatchRequest([index], 3)]
        seed, mask = f"resizing {sample_seed(2, 3, index)}", files.maps[index]
        window = crops.window_of_mask(mask, Random(seed))
        decided += window != crops.window(mask.shape[0], mask.shape[1], Random(seed))
        rows = slice(window.top, window.top + 32)
        columns = slice(window.left, window.left + 40)
        assert np.array_equal(batch.images[0].permute(1, 2, 0), dataset.pixels(index)[rows, columns])
        assert np.array_equal(batch.masks[0], mask[rows, columns])
    assert decided > 2
