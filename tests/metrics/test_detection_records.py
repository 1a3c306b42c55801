import numpy as np
import pytest
import torch

from tests.metrics.detection_sets import as_batches, random_setting
from visiontasks.errors import DataError
from visiontasks.metrics.coco_average_precision import CocoAveragePrecision


def test_records_are_in_pixels_of_the_original_images_and_sorted_by_id() -> None:
    setting = random_setting(3)
    # Ids that floats cannot hold, and 0, falling.
    ids = [2**53 + 3 - image for image in range(setting.images - 1)] + [0]
    metric = CocoAveragePrecision(setting.classes)
    for predictions, batch in as_batches(setting, ids):
        metric.update(predictions, batch)
    records = metric.records()
    assert records.ids.tolist() == sorted(ids)
    position = np.argsort(np.argsort(ids))
    for found, expected in ((records.objects, setting.objects), (records.detections, setting.detections)):
        order = np.argsort(position[expected.images], kind="stable")
        assert len(order) >= 5
        np.testing.assert_array_equal(found.images, position[expected.images][order])
        np.testing.assert_allclose(found.boxes, expected.boxes[order], rtol=1e-6)
        np.testing.assert_array_equal(found.labels, expected.labels[order])
        np.testing.assert_allclose(found[-1], expected[-1][order], rtol=1e-6)
    np.testing.assert_array_equal(
        records.objects.ignore, setting.objects.ignore[np.argsort(position[setting.objects.images], kind="stable")]
    )


def test_boxes_are_scaled_in_float64() -> None:
    predictions, batch = as_batches(random_setting(3), list(range(10)), size=10)[0]
    batch = batch._replace(scale=torch.tensor([[0.3, 1.7]]).expand(len(batch.ids), -1))
    metric = CocoAveragePrecision(5)
    metric.update(predictions, batch)
    records, factors = metric.records(), batch.scale[0, [1, 0, 1, 0]].double()
    for result, boxes, labels in (
        (records.objects, batch.boxes, batch.labels),
        (records.detections, predictions.boxes, predictions.labels),
    ):
        assert len(result.boxes) > 0
        np.testing.assert_array_equal(result.boxes, (boxes.double() * factors)[labels >= 0].numpy())


def test_an_image_that_is_seen_twice_counts_once() -> None:
    setting = random_setting(7)
    once, twice = CocoAveragePrecision(setting.classes), CocoAveragePrecision(setting.classes)
    batches = as_batches(setting, list(range(setting.images)))
    for predictions, batch in batches:
        once.update(predictions, batch)
    for predictions, batch in [*batches, batches[0], *reversed(batches)]:
        twice.update(predictions, batch)
    first, second = once.compute(), twice.compute()
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=0, atol=0, equal_nan=True)


def test_figures_do_not_depend_on_the_order_of_batches_or_their_size() -> None:
    setting = random_setting(11)
    figures = []
    for size in (1, 3, 100):
        metric = CocoAveragePrecision(setting.classes)
        for predictions, batch in reversed(as_batches(setting, list(range(setting.images)), size)):
            metric.update(predictions, batch)
        figures.append(metric.compute())
    for other in figures[1:]:
        for name, value in figures[0].items():
            torch.testing.assert_close(value, other[name], rtol=0, atol=0, equal_nan=True)


def test_nothing_seen_is_undefined() -> None:
    metric = CocoAveragePrecision(2)
    with pytest.warns(UserWarning, match="before the ``update`` method"):
        figures = metric.compute()
    assert figures["map"].isnan()
    assert figures["class_map"].shape == (2,)


def test_a_score_that_is_no_number_is_an_error() -> None:
    predictions, batch = as_batches(random_setting(3), list(range(10)))[0]
    predictions.scores[0, 0] = torch.nan
    with pytest.raises(DataError, match=r"not a number in the images with ids \[0, 1\]"):
        CocoAveragePrecision(5).update(predictions, batch)
