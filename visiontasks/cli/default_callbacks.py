"""What the command line shows of every run."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from visiontasks.callbacks.confusion import ConfusionImages
from visiontasks.callbacks.per_class import PerClassTable
from visiontasks.callbacks.prediction_images import PredictionImages
from visiontasks.callbacks.report import RunReport
from visiontasks.callbacks.wandb_run import WandbRun
from visiontasks.callbacks.worst_samples import WorstSamples
from visiontasks.tasks.base import Task


def default_callbacks(
    given: Sequence[Callback], arguments: Mapping[str, Any], command: str | None = None
) -> list[Callback]:
    """Create the callbacks that every run has; one that the user gives takes the place of that of its kind.

    Args:
        given: Callbacks of the user, of our classes or subclasses of them; with ``count: 0`` nothing is shown.
        arguments: The whole configuration in plain types.
        command: The command line, for the report of the run; None for no report.
    """
    shown: list[Callback] = [PredictionImages(), ConfusionImages(), WorstSamples(), PerClassTable()]
    report = [] if command is None else [RunReport(command=command)]
    usual = [*shown, WandbRun({"arguments": dict(arguments)}), *report]
    return [callback for callback in usual if not any(isinstance(own, type(callback)) for own in given)]


def best_and_last(task: Task) -> ModelCheckpoint:
    """Create what keeps the best checkpoint by the task's own metric, and the last one."""
    name = "epoch{epoch}-" + task.monitor.replace("/", "_") + "{" + task.monitor + ":.4f}"
    return ModelCheckpoint(
        monitor=task.monitor, mode=task.monitor_mode, filename=name, save_last=True, auto_insert_metric_name=False
    )
