import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.metrics.detection_sets import Setting, random_setting
from visiontasks.metrics.coco_scoring import coco_scores
from visiontasks.metrics.detection_records import Detections, TrueObjects


def by_pycocotools(setting: Setting, limits: tuple[int, ...]) -> Any:  # noqa: ANN401 (it has no types)
    """Evaluate with the reference; its ids start at 1, because it takes the object 0 for none."""
    truth, found = COCO(), COCO()
    images = [{"id": image, "width": 1000, "height": 1000} for image in range(setting.images)]
    categories = [{"id": label, "name": str(label)} for label in range(setting.classes)]
    annotations = [
        {
            "id": number,
            "image_id": int(image),
            "category_id": int(label),
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            "area": area,
            "iscrowd": int(ignore),
        }
        for number, (image, box, label, ignore, area) in enumerate(zip(*setting.objects, strict=True), 1)
    ]
    results = [
        {
            "id": number,
            "image_id": int(image),
            "category_id": int(label),
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            "area": (box[2] - box[0]) * (box[3] - box[1]),
            "iscrowd": 0,
            "score": score,
        }
        for number, (image, box, label, score) in enumerate(zip(*setting.detections, strict=True), 1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        for index, records in ((truth, annotations), (found, results)):
            index.dataset = {"images": images, "categories": categories, "annotations": records}
            index.createIndex()
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.params.maxDets = list(limits)
        evaluation.evaluate()
        evaluation.accumulate()
        if limits == (1, 10, 100):
            evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("part", range(10))
def test_figures_are_pycocotools_on_random_sets(part: int) -> None:
    for seed in range(20 * part, 20 * part + 20):
        setting = random_setting(seed)
        limits = [(1, 10, 100), (1, 2, 3), (3,), (2, 500)][seed % 4]
        ours = coco_scores(setting.detections, setting.objects, setting.classes, limits)
        theirs = by_pycocotools(setting, limits)
        recall, precision = theirs.eval["recall"], theirs.eval["precision"][..., -1]
        np.testing.assert_allclose(ours.recall, np.where(recall < 0, np.nan, recall), rtol=0, atol=1e-9)
        np.testing.assert_allclose(ours.precision, np.where(precision < 0, np.nan, precision), rtol=0, atol=1e-9)
        if limits == (1, 10, 100):
            figures = np.where(theirs.stats < 0, np.nan, theirs.stats)
            np.testing.assert_allclose(list(ours.summary().values()), figures, rtol=0, atol=1e-9)


def test_the_random_sets_hold_what_is_hard() -> None:
    settings = [random_setting(seed) for seed in range(200)]
    assert sum(setting.objects.ignore.any() for setting in settings) > 50
    assert sum(len(setting.objects.images) == 0 for setting in settings) > 2
    assert sum(len(setting.detections.images) == 0 for setting in settings) > 2
    ties = [len(np.unique(setting.detections.scores)) < len(setting.detections.scores) for setting in settings]
    assert sum(ties) > 50


def test_perfect_detections_score_one_and_nothing_is_undefined_without_reason() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 50, 50], [0, 0, 200, 200]])
    labels, images = np.array([0, 1, 1]), np.array([0, 0, 1])
    objects = TrueObjects(images, boxes, labels, np.zeros(3, bool), np.array([100.0, 2500, 40000]))
    scores = coco_scores(Detections(images, boxes, labels, np.ones(3)), objects, 3)
    assert list(scores.summary().values()) == pytest.approx([1.0] * 12)
    np.testing.assert_allclose(scores.class_map(), [1, 1, np.nan])
    nothing = coco_scores(Detections(images[:0], boxes[:0], labels[:0], np.ones(0)), objects, 3)
    assert nothing.summary()["map"] == 0
    without = TrueObjects(*(field[:0] for field in objects))
    assert np.isnan(coco_scores(Detections(images, boxes, labels, np.ones(3)), without, 3).summary()["map"])
