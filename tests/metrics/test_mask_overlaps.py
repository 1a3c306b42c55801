import numpy as np
import pytest

from visiontasks.instance_masks import pack_masks
from visiontasks.metrics.detection_records import Detections, TrueObjects
from visiontasks.metrics.mask_overlaps import PackedMasks, mask_overlaps, runs_of


def random_masks(generator: np.random.Generator, count: int) -> np.ndarray:
    """Masks of 30 x 150 pixels: noise, blocks, full ones and empty ones."""
    masks = np.zeros((count, 30, 150), np.uint8)
    for mask in masks:
        (top, bottom), (left, right) = (np.sort(generator.integers(0, side, 2)) for side in (30, 150))
        mask[top : bottom + 1, left : right + 1] = 1
        if generator.random() < 0.4:
            mask &= (generator.random(mask.shape) < 0.8).astype(np.uint8)
        if generator.random() < 0.2:
            mask[:] = generator.integers(0, 2)
    return masks


@pytest.mark.parametrize("seed", range(20))
def test_overlaps_are_those_of_whole_masks(seed: int) -> None:
    generator = np.random.default_rng(seed)
    found, true = (random_masks(generator, int(generator.integers(0, 40))) for _ in range(2))
    images, labels = ([np.sort(generator.integers(0, 3, len(m))) for m in (found, true)] for _ in range(2))
    ignore = generator.random(len(true)) < 0.3
    detections = Detections(images[0], np.zeros((len(found), 4)), labels[0], np.zeros(len(found)))
    objects = TrueObjects(images[1], np.zeros((len(true), 4)), labels[1], ignore, np.zeros(len(true)))
    # Windows of detections need not be tight.
    runs = runs_of(((0, 0, 150, 30), mask) for mask in found)
    overlaps = mask_overlaps(detections, runs, objects, PackedMasks(*pack_masks(true)))
    np.testing.assert_array_equal(overlaps.areas, found.sum((1, 2)))
    expected = {}
    for one, mask in enumerate(found):
        for two, other in enumerate(true):
            if images[0][one] != images[1][two] or labels[0][one] != labels[1][two]:
                continue
            shared = int((mask & other).sum())
            whole = int(mask.sum()) if ignore[two] else int((mask | other).sum())
            if shared and shared / whole >= 0.5:
                expected[one, two] = shared / whole
    pairs = zip(overlaps.detections.tolist(), overlaps.objects.tolist(), strict=True)
    assert dict(zip(pairs, overlaps.values.tolist(), strict=True)) == expected


def test_areas_of_packed_masks() -> None:
    true = random_masks(np.random.default_rng(0), 50)
    np.testing.assert_array_equal(PackedMasks(*pack_masks(true)).areas, true.sum((1, 2)))
