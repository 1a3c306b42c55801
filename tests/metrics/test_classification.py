import pytest

from visiontasks.losses.classification import Mode
from visiontasks.metrics.classification import classification_metrics


@pytest.mark.parametrize(
    ("mode", "classes", "always", "evaluated"),
    [
        ("multiclass", 5, {"accuracy"}, {"f1", "class_accuracy", "calibration_error"}),
        ("multiclass", 6, {"accuracy"}, {"f1", "class_accuracy", "calibration_error", "accuracy_top5"}),
        ("multilabel", 6, {"decisions"}, {"precision", "calibration_error"}),
        ("binary", 2, {"decisions"}, {"precision", "calibration_error"}),
    ],
)
def test_a_mode_has_its_metrics(mode: Mode, classes: int, always: set[str], evaluated: set[str]) -> None:
    found = classification_metrics(mode, classes)
    assert (set(found[0]), set(found[1])) == (always, evaluated)
