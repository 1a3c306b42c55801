"""Callbacks that show what a run does."""

from typing import TYPE_CHECKING

from visiontasks.lazy import lazy_names

if TYPE_CHECKING:
    from visiontasks.callbacks.best_checkpoint import BestCheckpoint as BestCheckpoint
    from visiontasks.callbacks.code_images import CodeImages as CodeImages
    from visiontasks.callbacks.confusion import ConfusionImages as ConfusionImages
    from visiontasks.callbacks.detection_results import DetectionResults as DetectionResults
    from visiontasks.callbacks.filters import FilterImages as FilterImages
    from visiontasks.callbacks.per_class import PerClassTable as PerClassTable
    from visiontasks.callbacks.pictures import EvaluationPictures as EvaluationPictures
    from visiontasks.callbacks.prediction_images import PredictionImages as PredictionImages
    from visiontasks.callbacks.progress import RunProgress as RunProgress
    from visiontasks.callbacks.reliability import ReliabilityDiagram as ReliabilityDiagram
    from visiontasks.callbacks.report import RunReport as RunReport
    from visiontasks.callbacks.run_logger import RunLogger as RunLogger
    from visiontasks.callbacks.saving import LastCheckpoint as LastCheckpoint
    from visiontasks.callbacks.saving import checkpoints as checkpoints
    from visiontasks.callbacks.wandb_run import WandbRun as WandbRun
    from visiontasks.callbacks.worst_samples import WorstSamples as WorstSamples
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
