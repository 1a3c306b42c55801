"""Callbacks that the command line adds to every run."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, get_args

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser

from visiontasks.callbacks.confusion import ConfusionImages
from visiontasks.callbacks.evaluation_files import KEPT, Keep
from visiontasks.callbacks.per_class import PerClassTable
from visiontasks.callbacks.prediction_images import PredictionImages
from visiontasks.callbacks.report import RunReport
from visiontasks.callbacks.wandb_run import WandbRun
from visiontasks.callbacks.worst_samples import WorstSamples

Shown = Literal["predictions", "confusion", "worst_samples", "per_class"]

_SHOWS: Mapping[str, Callable[..., Callback]] = {
    "predictions": PredictionImages,
    "confusion": ConfusionImages,
    "worst_samples": WorstSamples,
    "per_class": PerClassTable,
}


def add_flags_of_what_is_shown(parser: LightningArgumentParser) -> None:
    """Add the flags that turn pictures, tables and the report off."""
    parser.add_argument("--report", type=bool, default=True, help="Whether a test writes the page report.html.")
    help_text = "Pictures and tables of every validation and test in the run folder; [] for none."
    parser.add_argument("--shown", type=list[Shown], default=list(get_args(Shown)), help=help_text)
    help_text = "Validations that keep their pictures and tables, besides the newest and the best; 'all' for all."
    parser.add_argument("--keep_pictures", type=Keep, default=KEPT, help=help_text)


def default_callbacks(
    given: Sequence[Callback],
    arguments: Mapping[str, Any],
    command: str | None = None,
    shown: Collection[Shown] = get_args(Shown),
    keep: Keep = KEPT,
) -> list[Callback]:
    """Create the callbacks that every run has; a callback given by the user replaces the default one of its kind.

    Args:
        given: Callbacks given by the user; those of our classes or their subclasses replace the default ones.
        arguments: The whole configuration in plain types.
        command: The command line, for the report of the run; None for no report.
        shown: What to show of every validation and test.
        keep: How many validations keep their pictures and tables, besides the newest and the best.
    """
    report = [] if command is None else [RunReport(command=command)]
    usual = [*(_SHOWS[name](keep=keep) for name in shown), WandbRun({"arguments": dict(arguments)}), *report]
    return [callback for callback in usual if not any(isinstance(other, type(callback)) for other in given)]
