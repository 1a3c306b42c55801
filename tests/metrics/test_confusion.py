"""The scores of segmentation against counts by NumPy and by hand."""

import math

import numpy as np
import pytest
import torch
from torchmetrics import MetricCollection

from visiontasks.metrics.confusion import ConfusionMatrix, MultilabelConfusion


def scores_by_numpy(labels: np.ndarray, masks: np.ndarray, classes: int) -> dict[str, np.ndarray | float]:
    """Count one class after the other; a class that does not occur has no score."""
    counted = masks != 255
    labels, masks = labels[counted], masks[counted]
    iou, recall = np.full(classes, np.nan), np.full(classes, np.nan)
    for label in range(classes):
        truth, found = masks == label, labels == label
        if truth.any():
            iou[label] = (truth & found).sum() / (truth | found).sum()
            recall[label] = (truth & found).sum() / truth.sum()
    return {
        "miou": np.nanmean(iou),
        "iou": iou,
        "mean_accuracy": np.nanmean(recall),
        "accuracy": (labels == masks).mean(),
    }


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
@pytest.mark.parametrize("classes", [1, 2, 12, 127, 128, 255])
def test_scores_are_those_of_numpy_s_counts(classes: int, dtype: torch.dtype) -> None:
    labels = torch.randint(0, classes, (3, 21, 17), dtype=dtype)
    masks = torch.randint(0, max(1, classes - 1), (3, 21, 17), dtype=torch.uint8)
    masks[torch.rand(3, 21, 17) < 0.2] = 255
    matrix = ConfusionMatrix(classes)
    for part in (slice(0, 1), slice(1, 3)):
        matrix.update(labels[part], masks[part])
    expected = scores_by_numpy(labels.numpy(), masks.numpy(), classes)
    found = matrix.compute()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name].numpy(), value, rtol=1e-6)


def test_a_class_that_does_not_occur_does_not_count_even_where_it_is_predicted() -> None:
    matrix = ConfusionMatrix(3)
    matrix.update(torch.tensor([[[0, 0, 2, 1]]]), torch.tensor([[[0, 0, 0, 1]]], dtype=torch.uint8))
    scores = matrix.compute()
    assert scores["iou"].tolist() == pytest.approx([2 / 3, 1, math.nan], nan_ok=True)
    assert scores["miou"].item() == pytest.approx((2 / 3 + 1) / 2)


def test_nothing_that_counts_has_no_score() -> None:
    matrix = ConfusionMatrix(2)
    matrix.update(torch.zeros(1, 2, 2, dtype=torch.int64), torch.full((1, 2, 2), 255, dtype=torch.uint8))
    assert all(value.isnan().all() for value in matrix.compute().values())


def test_several_processes_add_their_counts() -> None:
    labels, masks = torch.randint(0, 4, (4, 9, 9)), torch.randint(0, 4, (4, 9, 9), dtype=torch.uint8)
    whole, parts = ConfusionMatrix(4), [ConfusionMatrix(4), ConfusionMatrix(4), ConfusionMatrix(4)]
    whole.update(labels, masks)
    parts[0].update(labels[:3], masks[:3])
    parts[1].update(labels[3:], masks[3:])
    parts[0].counts = sum(part.counts for part in parts)  # type: ignore[assignment]  # the third saw no image
    torch.testing.assert_close(parts[0].compute(), whole.compute())


def test_multilabel_scores_are_those_of_each_class_alone() -> None:
    labels = torch.randint(0, 2, (3, 4, 11, 13), dtype=torch.uint8)
    masks = torch.randint(0, 2, (3, 4, 11, 13), dtype=torch.uint8)
    masks[torch.rand(3, 4, 11, 13) < 0.2] = 255
    masks[:, 3][masks[:, 3] == 1] = 0
    metric = MultilabelConfusion(4)
    for part in (slice(0, 2), slice(2, 3)):
        metric.update(labels[part], masks[part])
    found = metric.compute()
    iou = [scores_by_numpy(labels[:, c].numpy(), masks[:, c].numpy(), 2)["iou"][1] for c in range(4)]  # type: ignore[index]
    np.testing.assert_allclose(found["iou"].numpy(), iou, rtol=1e-6)
    assert math.isnan(iou[3])
    counted = masks != 255
    assert found["accuracy"].item() == pytest.approx((labels == masks)[counted].float().mean().item())
    assert found["miou"].item() == pytest.approx(np.nanmean(iou))


def test_a_collection_names_the_scores() -> None:
    collection = MetricCollection({"scores": ConfusionMatrix(2)}, prefix="val/", compute_groups=False)
    collection.update(torch.zeros(1, 2, 2, dtype=torch.int64), torch.zeros(1, 2, 2, dtype=torch.uint8))
    assert collection.compute().keys() == {"val/miou", "val/iou", "val/accuracy", "val/mean_accuracy"}
