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
    from visiontasks.callbacks.run_logger import RunLogger
    from visiontasks.callbacks.saving import BestCheckpoint, LastCheckpoint, checkpoints
    from visiontasks.callbacks.wandb_run import WandbRun
    from visiontasks.callbacks.worst_samples import WorstSamples

_HOME = {
    "BestCheckpoint": "visiontasks.callbacks.saving",
    "LastCheckpoint": "visiontasks.callbacks.saving",
    "RunLogger": "visiontasks.callbacks.run_logger",
    "checkpoints": "visiontasks.callbacks.saving",
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
    "BestCheckpoint",
    "CodeImages",
    "ConfusionImages",
    "DetectionResults",
    "EvaluationPictures",
    "FilterImages",
    "LastCheckpoint",
    "PerClassTable",
    "PredictionImages",
    "ReliabilityDiagram",
    "RunLogger",
    "RunReport",
    "WandbRun",
    "WorstSamples",
    "checkpoints",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
