import contextlib
import io

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchvision.ops import box_iou

from visiontasks.metrics.proposal_recall import proposal_recall


def test_recall_is_the_share_of_objects_that_are_covered() -> None:
    generator = np.random.default_rng(0)
    images = []
    for _ in range(5):
        corner = generator.uniform(0, 50, (60, 2))
        boxes = np.concatenate([corner, corner + generator.uniform(5, 40, (60, 2))], 1)
        images.append((boxes[4:], boxes[:4]))
    found = proposal_recall(images, (10, 50))
    for limit in (10, 50):
        best = torch.cat([box_iou(torch.tensor(o), torch.tensor(p[:limit])).max(1).values for p, o in images])
        assert found[f"recall_50_{limit}"] == pytest.approx((best >= 0.5).double().mean().item())
        shares = [(best >= threshold).double().mean().item() for threshold in np.linspace(0.5, 0.95, 10)]
        assert found[f"recall_{limit}"] == pytest.approx(np.mean(shares))
    assert 0 < found["recall_10"] < found["recall_50"]


def test_images_without_proposals_or_objects_count_as_they_are() -> None:
    box, none = np.array([[0.0, 0, 10, 10]]), np.zeros((0, 4))
    expected = {"recall_50_5": 0.5, "recall_5": 0.5, "ar_5": 0.5}
    assert proposal_recall([(none, box), (box, none), (box, box)], (5,)) == expected
    undefined = proposal_recall([(box, none)], (5,))
    assert np.isnan(undefined["recall_5"])
    assert np.isnan(undefined["ar_5"])


def test_average_recall_is_cocos_without_classes() -> None:
    generator = np.random.default_rng(0)
    images: list[tuple[np.ndarray, np.ndarray]] = []
    annotations: list[dict[str, object]] = []
    results: list[dict[str, object]] = []

    def sides(box: np.ndarray) -> list[float]:
        return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]

    for image in range(3):
        corner = generator.integers(0, 60, (12, 2)).astype(float)
        objects = np.concatenate([corner, corner + generator.integers(8, 50, (12, 2))], 1)
        # Near copies of objects, of which several cover the same one, and boxes anywhere.
        near = objects[generator.integers(0, 12, 1200)] + generator.integers(-6, 7, (1200, 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        crowd = np.arange(12) % 5 == 4
        images.append((near, objects[~crowd]))
        for number, box in enumerate(objects):
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": 1 + number % 3, "bbox": sides(box),
                 "area": float(np.prod(box[2:] - box[:2])), "iscrowd": int(crowd[number])}
            )  # fmt: skip
        for rank, box in enumerate(near):
            results.append({"image_id": image, "category_id": 1, "bbox": sides(box), "score": 1 - rank / 1200})
    truth = COCO()
    truth.dataset = {
        "images": [{"id": image, "height": 120, "width": 120} for image in range(3)],
        "annotations": annotations,
        "categories": [{"id": 1 + number, "name": str(number)} for number in range(3)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.params.useCats = 0
        evaluation.params.maxDets = [10, 100, 1000]
        evaluation.evaluate()
        evaluation.accumulate()
    found = proposal_recall(images, (10, 100, 1000))
    for index, limit in enumerate((10, 100, 1000)):
        expected = evaluation.eval["recall"][:, 0, 0, index].mean()
        assert found[f"ar_{limit}"] == pytest.approx(expected, abs=1e-12)
        assert 0 < found[f"ar_{limit}"] <= found[f"recall_{limit}"] <= 1
