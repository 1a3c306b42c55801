"""Callbacks that show what a run does."""

from typing import TYPE_CHECKING

from visiontasks.lazy import lazy_names

if TYPE_CHECKING:
    from visiontasks.callbacks.code_images import CodeImages
    from visiontasks.callbacks.confusion import ConfusionImages
    from visiontasks.callbacks.detection_results import DetectionResults
    from visiontasks.callbacks.filters import FilterImages
    from visiontasks.callbacks.per_class import PerClassTable
    from visiontasks.callbacks.pictures import EvaluationPictures
    from visiontasks.callbacks.prediction_images import PredictionImages
    from visiontasks.callbacks.reliability import ReliabilityDiagram
    from visiontasks.callbacks.report import RunReport
    from visiontasks.callbacks.wandb_run import WandbRun
    from visiontasks.callbacks.worst_samples import WorstSamples

_HOME = {
    "CodeImages": "visiontasks.callbacks.code_images",
    "ConfusionImages": "visiontasks.callbacks.confusion",
    "DetectionResults": "visiontasks.callbacks.detection_results",
    "FilterImages": "visiontasks.callbacks.filters",
    "PerClassTable": "visiontasks.callbacks.per_class",
    "EvaluationPictures": "visiontasks.callbacks.pictures",
    "PredictionImages": "visiontasks.callbacks.prediction_images",
    "ReliabilityDiagram": "visiontasks.callbacks.reliability",
    "RunReport": "visiontasks.callbacks.report",
    "WandbRun": "visiontasks.callbacks.wandb_run",
    "WorstSamples": "visiontasks.callbacks.worst_samples",
}

__all__ = [
    "CodeImages",
    "ConfusionImages",
    "DetectionResults",
    "EvaluationPictures",
    "FilterImages",
    "PerClassTable",
    "PredictionImages",
    "ReliabilityDiagram",
    "RunReport",
    "WandbRun",
    "WorstSamples",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
