"""Pipelines of torchvision: images, boxes and masks move together, and follow from the seed alone."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from visiontasks import ShapesDataModule
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.datasets.memory_samples import MemorySamples
from visiontasks.errors import ArgumentError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 60, 3), np.uint8)
MOVES = [v2.RandomHorizontalFlip(), v2.RandomAffine(25, (0.1, 0.2), (0.7, 1.2), fill=127)]


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A white rectangle on black, its box and its mask."""
    pixels, mask = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.uint8)
    pixels[10:22, 8:30] = 255
    mask[10:22, 8:30] = 3
    return pixels, np.array([[8.0, 10, 30, 22], [40, 30, 41, 31]]), mask


@pytest.mark.parametrize("seed", range(6))
def test_boxes_and_masks_move_with_the_pixels(seed: int) -> None:
    pixels, boxes, mask = scene()
    changed = Augmentation([v2.RandomHorizontalFlip(), v2.RandomCrop((30, 44)), v2.Resize((60, 90))])(
        pixels, seed, boxes, mask
    )
    assert changed.mask is not None
    rows, columns = np.nonzero(changed.mask == 3)
    white = np.nonzero(changed.pixels[..., 0] > 127)
    for place in ((rows, columns), white):
        found = [place[1].min(), place[0].min(), place[1].max() + 1, place[0].max() + 1]
        np.testing.assert_allclose(changed.boxes[0], found, atol=2)
    assert changed.kept[0] == 0


def test_a_flip_is_exact() -> None:
    pixels, boxes, mask = scene()
    changed = Augmentation(v2.RandomHorizontalFlip(p=1))(pixels, 0, boxes, mask)
    np.testing.assert_array_equal(changed.pixels, pixels[:, ::-1])
    np.testing.assert_array_equal(changed.mask, mask[:, ::-1])
    np.testing.assert_array_equal(changed.boxes, [[30, 10, 52, 22], [19, 30, 20, 31]])
    assert changed.kept.tolist() == [0, 1]


def test_pixels_from_outside_are_ignored_in_masks_whatever_the_fill() -> None:
    mask = np.full((40, 60), 3, np.uint8)
    changed = Augmentation(MOVES)(PIXELS, 1, mask=mask).mask
    assert changed is not None
    assert np.unique(changed).tolist() == [3, 255]


def test_the_seed_decides_and_torchs_random_state_is_left() -> None:
    before, augmentation = torch.get_rng_state(), Augmentation([*MOVES, v2.ColorJitter(0.4, 0.4)])
    one, same, other = (augmentation(PIXELS, seed).pixels for seed in (7, 7, 2**64 - 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)
    copied = pickle.loads(pickle.dumps(augmentation))
    assert np.array_equal(copied(PIXELS, 7).pixels, one)


def test_boxes_that_are_cropped_away_are_dropped_by_their_visible_part() -> None:
    boxes = np.array([[0.0, 0, 20, 20], [0, 0, 11, 10], [50, 30, 58, 38]])
    crop = v2.Compose([v2.Lambda(lambda x: x), v2.CenterCrop((20, 40))])
    assert Augmentation(crop, visible=0.2)(PIXELS, 0, boxes).kept.tolist() == [0]
    assert Augmentation(crop, visible=0.0)(PIXELS, 0, boxes).kept.tolist() == [0]
    np.testing.assert_allclose(Augmentation(crop, visible=0.0)(PIXELS, 0, boxes).boxes, [[0, 0, 10, 10]])
    assert Augmentation(crop, visible=0.9)(PIXELS, 0, boxes).kept.tolist() == []


def test_a_pipeline_may_choose_its_boxes_itself() -> None:
    boxes = np.array([[0.0, 0, 20, 20], [10, 12, 12, 14], [30, 20, 58, 38]])
    changed = Augmentation([v2.CenterCrop((20, 40)), v2.SanitizeBoundingBoxes(min_size=5)])(PIXELS, 0, boxes)
    assert changed.kept.tolist() == [0, 2]
    assert Augmentation([v2.RandomIoUCrop()])(PIXELS, 0, np.empty((0, 4))).boxes.shape == (0, 4)


def test_a_sample_that_a_transform_refuses_says_why() -> None:
    with pytest.raises(ArgumentError, match="The augmentation fails on a sample of image: Required crop size"):
        Augmentation(v2.RandomCrop((300, 300)))(PIXELS, 0)


@pytest.mark.parametrize("task", ["localization", "detection", "segmentation"])
def test_data_of_each_task_are_augmented(task: Any, tmp_path: Path) -> None:  # noqa: ANN401 - a literal
    data = ShapesDataModule(task, train_size=6, val_size=2, test_size=2, batch_size=3)
    data.setup("fit")
    assert isinstance(data.train_set, MemorySamples)
    plain = data.train_set[0]
    data.train_set.augmentation = Augmentation.create(task, v2.RandomHorizontalFlip(p=1))
    flipped = data.train_set[0]
    assert torch.equal(flipped.images, plain.images.flip(-1))
    if task == "segmentation":
        assert torch.equal(flipped.masks, plain.masks.flip(-1))
    else:
        width = plain.images.shape[-1]
        expected = plain.boxes.clone()
        expected[..., [0, 2]] = width - plain.boxes[..., [2, 0]]
        torch.testing.assert_close(flipped.boxes, expected)
    described = Augmentation.create(task, v2.RandomHorizontalFlip()).describe()
    assert "RandomHorizontalFlip(p=0.5)" in described["python"]
