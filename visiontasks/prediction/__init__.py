"""Prediction of images with nothing but a checkpoint."""

from typing import TYPE_CHECKING

from visiontasks.lazy import lazy_names

if TYPE_CHECKING:
    from visiontasks.prediction.checkpoints import find_task as find_task
    from visiontasks.prediction.checkpoints import import_task as import_task
    from visiontasks.prediction.checkpoints import load_task as load_task
    from visiontasks.prediction.checkpoints import on_device as on_device
    from visiontasks.prediction.predicting import create_predictor as create_predictor
    from visiontasks.prediction.predicting import predict_images as predict_images
    from visiontasks.prediction.predicting import view_of as view_of
    from visiontasks.prediction.results import Prediction as Prediction
    from visiontasks.prediction.scoring import match_data as match_data
    from visiontasks.prediction.sources import find_files as find_files
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
