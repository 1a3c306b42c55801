"""The metrics of a classifier in each mode."""

from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from visiontasks.losses.classification import Mode
from visiontasks.metrics.calibration import CalibrationError
from visiontasks.metrics.class_accuracy import ClassAccuracy
from visiontasks.metrics.decisions import AveragePrecision, DecisionScores


def classification_metrics(mode: Mode, num_classes: int) -> tuple[dict[str, Metric], dict[str, Metric]]:
    """Create the metrics that a classifier logs, by name.

    Args:
        mode: See :data:`~visiontasks.losses.classification.Mode`.
        num_classes: Number of classes.

    Returns:
        The metrics for both training and evaluation, and those for evaluation only.
    """
    if mode != "multiclass":
        decisions = DecisionScores(1 if mode == "binary" else num_classes)
        ranked = AveragePrecision(each=mode == "multilabel")
        return {"decisions": decisions}, {"precision": ranked, "calibration_error": CalibrationError()}
    accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
    evaluated: dict[str, Metric] = {
        "f1": MulticlassF1Score(num_classes, average="macro", validate_args=False),
        "class_accuracy": ClassAccuracy(num_classes, average=None, validate_args=False),
        "calibration_error": CalibrationError(),
    }
    if num_classes > 5:
        evaluated["accuracy_top5"] = MulticlassAccuracy(num_classes, top_k=5, average="micro", validate_args=False)
    return {"accuracy": accuracy}, evaluated
