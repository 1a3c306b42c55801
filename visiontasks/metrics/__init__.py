"""Metrics that torchmetrics does not have."""

from typing import TYPE_CHECKING

from visiontasks.lazy import lazy_names

if TYPE_CHECKING:
    from visiontasks.metrics.calibration import CalibrationError
    from visiontasks.metrics.class_accuracy import ClassAccuracy
    from visiontasks.metrics.coco_average_precision import CocoAveragePrecision
    from visiontasks.metrics.code import CodeAccuracy
    from visiontasks.metrics.confusion import ConfusionMatrix, MultilabelConfusion
    from visiontasks.metrics.decisions import AveragePrecision, DecisionScores
    from visiontasks.metrics.detection_confusion import DetectionConfusion
    from visiontasks.metrics.detection_records import DetectionMetric
    from visiontasks.metrics.localization import (
        BoxAccuracy,
        BoxIoU,
        LocalizationError,
        LocalizationMetric,
        ObjectAccuracy,
    )
    from visiontasks.metrics.reconstruction import ReconstructionQuality
    from visiontasks.metrics.voc_average_precision import VocAveragePrecision

_HOME = {
    "CalibrationError": "visiontasks.metrics.calibration",
    "ClassAccuracy": "visiontasks.metrics.class_accuracy",
    "CocoAveragePrecision": "visiontasks.metrics.coco_average_precision",
    "CodeAccuracy": "visiontasks.metrics.code",
    "ConfusionMatrix": "visiontasks.metrics.confusion",
    "MultilabelConfusion": "visiontasks.metrics.confusion",
    "AveragePrecision": "visiontasks.metrics.decisions",
    "DecisionScores": "visiontasks.metrics.decisions",
    "DetectionConfusion": "visiontasks.metrics.detection_confusion",
    "DetectionMetric": "visiontasks.metrics.detection_records",
    "BoxAccuracy": "visiontasks.metrics.localization",
    "BoxIoU": "visiontasks.metrics.localization",
    "LocalizationError": "visiontasks.metrics.localization",
    "LocalizationMetric": "visiontasks.metrics.localization",
    "ObjectAccuracy": "visiontasks.metrics.localization",
    "ReconstructionQuality": "visiontasks.metrics.reconstruction",
    "VocAveragePrecision": "visiontasks.metrics.voc_average_precision",
}

__all__ = [
    "AveragePrecision",
    "BoxAccuracy",
    "BoxIoU",
    "CalibrationError",
    "ClassAccuracy",
    "CocoAveragePrecision",
    "CodeAccuracy",
    "ConfusionMatrix",
    "DecisionScores",
    "DetectionConfusion",
    "DetectionMetric",
    "LocalizationError",
    "LocalizationMetric",
    "MultilabelConfusion",
    "ObjectAccuracy",
    "ReconstructionQuality",
    "VocAveragePrecision",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
