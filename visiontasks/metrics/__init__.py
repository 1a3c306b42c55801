"""Metrics that torchmetrics does not have."""

from typing import TYPE_CHECKING

from visiontasks.lazy import lazy_names

if TYPE_CHECKING:
    from visiontasks.metrics.calibration import CalibrationError as CalibrationError
    from visiontasks.metrics.class_accuracy import ClassAccuracy as ClassAccuracy
    from visiontasks.metrics.coco_average_precision import CocoAveragePrecision as CocoAveragePrecision
    from visiontasks.metrics.code import CodeAccuracy as CodeAccuracy
    from visiontasks.metrics.confusion import ConfusionMatrix as ConfusionMatrix
    from visiontasks.metrics.confusion import MultilabelConfusion as MultilabelConfusion
    from visiontasks.metrics.decisions import AveragePrecision as AveragePrecision
    from visiontasks.metrics.decisions import DecisionScores as DecisionScores
    from visiontasks.metrics.detection_confusion import DetectionConfusion as DetectionConfusion
    from visiontasks.metrics.detection_records import DetectionMetric as DetectionMetric
    from visiontasks.metrics.localization import BoxAccuracy as BoxAccuracy
    from visiontasks.metrics.localization import BoxIoU as BoxIoU
    from visiontasks.metrics.localization import LocalizationError as LocalizationError
    from visiontasks.metrics.localization import LocalizationMetric as LocalizationMetric
    from visiontasks.metrics.localization import ObjectAccuracy as ObjectAccuracy
    from visiontasks.metrics.mask_average_precision import MaskAveragePrecision as MaskAveragePrecision
    from visiontasks.metrics.reconstruction import ReconstructionQuality as ReconstructionQuality
    from visiontasks.metrics.voc_average_precision import VocAveragePrecision as VocAveragePrecision
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
