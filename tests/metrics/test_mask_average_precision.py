import numpy as np
import pytest
import torch

from tests.metrics.instance_sets import as_batch, by_pycocotools, random_images
from visiontasks.metrics.coco_average_precision import CocoAveragePrecision
from visiontasks.metrics.mask_average_precision import MaskAveragePrecision


@pytest.mark.parametrize("part", range(8))
def test_figures_are_pycocotools_on_random_sets(part: int) -> None:
    for seed in range(8 * part, 8 * part + 8):
        images, classes = random_images(seed)
        metric = MaskAveragePrecision(classes)
        for start in range(0, len(images), 2):
            chosen = images[start : start + 2]
            metric.update(*as_batch(chosen, list(range(start, start + len(chosen)))))
        figures = metric.compute()
        assert [name for name in figures if not name.startswith("mask_m")] == ["class_mask_map"]
        theirs = by_pycocotools(images, classes)
        names: tuple[str, ...] = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large")
        names += ("mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large")
        ours = [float(figures[f"mask_{name}"].double()) for name in names]
        expected = np.where(theirs.stats < 0, np.nan, theirs.stats)
        # The figures are float32.
        np.testing.assert_allclose(ours, expected.astype(np.float32), rtol=0, atol=1e-9)
        precision = theirs.eval["precision"][:, :, :, 0, -1]
        of_classes: list[float] = [
            np.nan if (each == -1).all() else each[each > -1].mean() for each in precision.transpose(2, 0, 1)
        ]
        np.testing.assert_allclose(
            figures["class_mask_map"].numpy(), np.array(of_classes, np.float32), rtol=0, atol=1e-7
        )


def test_the_random_sets_hold_what_is_hard() -> None:
    images = [image for seed in range(64) for image in random_images(seed)[0]]
    assert sum(bool(image.ignore.any()) for image in images) > 40
    assert sum(bool((~image.masks.flatten(1).any(1)).any()) for image in images) > 20
    assert sum(bool((image.grids.flatten(1).amax(1) < 0.5).any()) for image in images) > 20
    assert sum(not len(image.labels) for image in images) > 10
    assert sum(not len(image.scores) for image in images) > 10
    assert sum(len(image.scores.unique()) < len(image.scores) for image in images) > 20


def test_an_image_that_is_seen_twice_counts_once_in_any_order() -> None:
    images, classes = random_images(3)
    ids = [2**53 + 5 - number for number in range(len(images))]
    once, twice = MaskAveragePrecision(classes), MaskAveragePrecision(classes)
    once.update(*as_batch(images, ids))
    for number in reversed(range(len(images))):
        twice.update(*as_batch(images[number : number + 1], ids[number : number + 1]))
        twice.update(*as_batch(images[-2:], ids[-2:]))
    first, second = once.compute(), twice.compute()
    assert not first["mask_map"].isnan()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=0, atol=0, equal_nan=True)


def test_boxes_are_scored_of_the_same_predictions() -> None:
    images, classes = random_images(3)
    predictions, batch = as_batch(images, list(range(len(images))))
    boxes, masks = CocoAveragePrecision(classes), MaskAveragePrecision(classes)
    for metric in (boxes, masks):
        metric.update(predictions, batch)
    for one, other in zip(boxes.records()[1:], masks.records()[1:], strict=True):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)
    # A collection of torchmetrics shares what metrics store alike, such as nothing yet.
    assert boxes.floats[0].shape[1] != masks.floats[0].shape[1]


def test_no_images_and_no_detections() -> None:
    images, classes = random_images(3)
    predictions, batch = as_batch(images, list(range(len(images))))
    metric = MaskAveragePrecision(classes)
    metric.update(*(type(fields)._make(field[:0] for field in fields) for fields in (predictions, batch)))
    assert metric.compute()["mask_map"].isnan()
    metric.reset()
    metric.update(type(predictions)._make(field[:, :0] for field in predictions), batch)
    assert metric.compute()["mask_map"] == 0
