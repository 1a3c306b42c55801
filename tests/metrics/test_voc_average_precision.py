import numpy as np
import pytest

from tests.metrics.detection_sets import Setting, as_batches, random_setting
from visiontasks.metrics.voc_average_precision import VocAveragePrecision, VocRule, voc_average_precision


def overlap(box: np.ndarray, other: np.ndarray) -> float:
    """As VOC's development kit computes it; its boxes of whole pixels end one pixel earlier."""
    a, b = (np.array([*corners[:2] + 1, *corners[2:]]) for corners in (box, other))
    width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    union = np.prod(a[2:] - a[:2] + 1) + np.prod(b[2:] - b[:2] + 1) - width * height
    return float(width * height / union)


def by_the_development_kit(setting: Setting, label: int, rule: VocRule) -> float:
    """VOCevaldet of the development kit of 2007 and 2010, in loops."""
    objects, detections = setting.objects, setting.detections
    own = np.flatnonzero(objects.labels == label)
    count = int((~objects.ignore[own]).sum())
    if not count:
        return np.nan
    found = np.flatnonzero(detections.labels == label)
    found = found[np.argsort(-detections.scores[found], kind="stable")]
    taken: set[int] = set()
    right, wrong = np.zeros(len(found)), np.zeros(len(found))
    for rank, detection in enumerate(found):
        best, target = -np.inf, -1
        for candidate in own[objects.images[own] == detections.images[detection]]:
            shared = overlap(detections.boxes[detection], objects.boxes[candidate])
            if shared > best:
                best, target = shared, int(candidate)
        if best < 0.5:
            wrong[rank] = 1
        elif not objects.ignore[target]:
            right[rank], wrong[rank] = target not in taken, target in taken
            taken.add(target)
    recall = right.cumsum() / count
    precision = right.cumsum() / np.maximum(right.cumsum() + wrong.cumsum(), 1e-12)
    if rule == "11_points":
        return float(sum(max(precision[recall >= t / 10], default=0.0) for t in range(11)) / 11)
    recall, precision = np.r_[0, recall, 1], np.r_[0, precision, 0]
    for index in range(len(precision) - 2, -1, -1):
        precision[index] = max(precision[index], precision[index + 1])
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(((recall[steps] - recall[steps - 1]) * precision[steps]).sum())


@pytest.mark.parametrize("rule", ["area", "11_points"])
def test_figures_are_those_of_the_development_kit(rule: VocRule) -> None:
    for seed in range(40):
        setting = random_setting(seed)
        expected = [by_the_development_kit(setting, label, rule) for label in range(setting.classes)]
        found = voc_average_precision(setting.detections, setting.objects, setting.classes, rule)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_the_metric_gives_the_mean_over_classes_with_objects() -> None:
    setting = random_setting(3)
    metric = VocAveragePrecision(setting.classes + 1)
    for predictions, batch in as_batches(setting, list(range(setting.images))):
        metric.update(predictions, batch)
    figures = metric.compute()
    expected = [by_the_development_kit(setting, label, "area") for label in range(setting.classes)]
    np.testing.assert_allclose(figures["class_voc_map"].numpy(), [*expected, np.nan], rtol=1e-5)
    assert figures["voc_map"].item() == pytest.approx(np.nanmean(expected), rel=1e-5)
