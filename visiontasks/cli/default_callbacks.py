"""What the command line shows of every run."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch.callbacks import Callback

from visiontasks.callbacks.confusion import ConfusionImages
from visiontasks.callbacks.prediction_images import PredictionImages
from visiontasks.callbacks.wandb_run import WandbRun
from visiontasks.callbacks.worst_samples import WorstSamples


def default_callbacks(given: Sequence[Callback], arguments: Mapping[str, Any]) -> list[Callback]:
    """Create the callbacks that every run has; one that the user gives takes the place of that of its kind.

    Args:
        given: Callbacks of the user, of our classes or subclasses of them; with ``count: 0`` nothing is shown.
        arguments: The whole configuration in plain types.
    """
    usual = [PredictionImages(), ConfusionImages(), WorstSamples(), WandbRun({"arguments": dict(arguments)})]
    return [callback for callback in usual if not any(isinstance(own, type(callback)) for own in given)]
