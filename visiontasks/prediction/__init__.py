"""Prediction of images with nothing but a checkpoint."""

from visiontasks.prediction.checkpoints import find_task, import_class, import_path, import_task, load_task, on_device
from visiontasks.prediction.predicting import create_predictor, predict_images, view_of
from visiontasks.prediction.results import Prediction
from visiontasks.prediction.scoring import match_data
from visiontasks.prediction.sources import find_files

__all__ = [
    "Prediction",
    "create_predictor",
    "find_files",
    "find_task",
    "import_class",
    "import_path",
    "import_task",
    "load_task",
    "match_data",
    "on_device",
    "predict_images",
    "view_of",
]
