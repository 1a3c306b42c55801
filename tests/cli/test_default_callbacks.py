"""What every run shows, and how it is replaced."""

from visiontasks.callbacks.confusion import ConfusionImages
from visiontasks.callbacks.per_class import PerClassTable
from visiontasks.callbacks.prediction_images import PredictionImages
from visiontasks.callbacks.wandb_run import WandbRun
from visiontasks.callbacks.worst_samples import WorstSamples
from visiontasks.cli.default_callbacks import default_callbacks


class Own(ConfusionImages):
    """A user's kind of matrix."""


def test_a_callback_of_the_user_takes_the_place_of_its_kind() -> None:
    usual = [type(callback) for callback in default_callbacks([], {})]
    assert usual == [PredictionImages, ConfusionImages, WorstSamples, PerClassTable, WandbRun]
    left = [type(callback) for callback in default_callbacks([Own(), PredictionImages(0)], {})]
    assert left == [WorstSamples, PerClassTable, WandbRun]


def test_each_is_left_out_where_it_is_not_asked_for() -> None:
    assert [type(callback) for callback in default_callbacks([], {}, shown=[])] == [WandbRun]
    kept = [type(callback) for callback in default_callbacks([], {}, shown=["per_class", "confusion"])]
    assert kept == [PerClassTable, ConfusionImages, WandbRun]
