import math

import pytest
import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from visiontasks.errors import ArgumentError
from visiontasks.metrics.localization import BoxAccuracy, LocalizationError, ObjectAccuracy, localization_metrics


def random_case(images: int, classes: int, agnostic: bool) -> dict[str, Tensor]:
    """Make predictions of which many are near the truth; some images have no object."""
    corners = torch.rand(images, 2) * 60
    boxes = torch.cat([corners, corners + 10 + torch.rand(images, 2) * 40], 1)
    guesses = boxes[:, None] + torch.randn(images, 1 if agnostic else classes, 4) * 6
    labels = torch.randint(-1, classes, (images,))
    boxes[labels < 0] = 0
    return {
        "probabilities": torch.rand(images, classes).softmax(1),
        "class_boxes": guesses.expand(-1, classes, -1),
        "labels": labels,
        "boxes": boxes,
    }


def iou_by_hand(a: list[float], b: list[float]) -> float:
    overlap = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return overlap / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap)


def scores_in_loops(case: dict[str, Tensor]) -> dict[str, float]:
    """Go through the images one by one, as ILSVRC's evaluation does: a guess is wrong by its class or by its box."""
    found: dict[str, list[float]] = {}
    for scores, guesses, label, box in zip(*(values.tolist() for values in case.values()), strict=True):
        if label < 0:
            continue
        ranked = sorted(range(len(scores)), key=lambda index: -scores[index])
        errors = [max(guess != label, iou_by_hand(guesses[guess], box) < 0.5) for guess in ranked]
        overlap = iou_by_hand(guesses[ranked[0]], box)
        for name, value in {
            "localization_error": errors[0],
            "localization_error_top5": min(errors[:5]),
            "accuracy": label == ranked[0],
            "accuracy_top5": label in ranked[:5],
            "mean_iou": overlap,
            "iou_50": overlap >= 0.5,
            "iou_75": overlap >= 0.75,
        }.items():
            found.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in found.items()}


@pytest.mark.parametrize("agnostic", [True, False])
def test_metrics_are_what_a_plain_loop_finds(agnostic: bool) -> None:
    case = random_case(300, 8, agnostic)
    metrics = MetricCollection({**localization_metrics(8)}, compute_groups=False)
    for start in range(0, 300, 70):
        metrics.update(**{name: values[start : start + 70] for name, values in case.items()})
    expected = scores_in_loops(case)
    assert all(0.05 < value < 0.95 for value in expected.values()), "the case tells right from wrong"
    found = {name: value.item() for name, value in metrics.compute().items()}
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_class_counts_as_in_torchmetrics() -> None:
    case = random_case(200, 4, agnostic=True)
    reference = MulticlassAccuracy(4, average="micro", ignore_index=-1)
    accuracy = ObjectAccuracy()
    accuracy.update(**case)
    assert accuracy.compute() == reference(case["probabilities"], case["labels"])


def test_images_without_an_object_count_for_nothing() -> None:
    case = random_case(60, 6, agnostic=True)
    only = {name: values[case["labels"] >= 0] for name, values in case.items()}
    for name, metric in localization_metrics(6).items():
        metric.update(**case)
        together = metric.compute()
        metric.reset()
        metric.update(**only)
        assert metric.compute() == together, name
        metric.reset()
        metric.update(**{key: values[case["labels"] < 0] for key, values in case.items()})
        assert math.isnan(metric.compute()), name


def test_five_guesses_of_five_classes_say_nothing_and_are_left_out() -> None:
    assert "accuracy_top5" not in localization_metrics(5)
    case = random_case(50, 3, agnostic=True)
    accuracy = ObjectAccuracy(top_k=5)
    accuracy.update(**case)
    assert accuracy.compute() == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LocalizationError(top_k=0), "top_k is 0 .* expected at least 1 guess"),
        (lambda: BoxAccuracy(50), "threshold 50; expected .* an overlap of 0 to 1"),
    ],
)
def test_arguments_out_of_range_are_an_error(make: object, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()  # type: ignore[operator]  # a function


def test_an_overlap_of_exactly_the_threshold_is_enough() -> None:
    half, whole = torch.tensor([[[0.0, 0, 4, 2]]]), torch.tensor([[0.0, 0, 4, 4]])
    case = {"probabilities": torch.ones(1, 1), "class_boxes": half, "labels": torch.tensor([0]), "boxes": whole}
    for threshold, expected in ((0.5, 1), (0.51, 0)):
        accuracy, error = BoxAccuracy(threshold), LocalizationError(threshold=threshold)
        for metric in (accuracy, error):
            metric.update(**case)
        assert (accuracy.compute().item(), error.compute().item()) == (expected, 1 - expected)
