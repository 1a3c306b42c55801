"""What a command shows on the screen while it runs."""

from collections.abc import Sequence

from jsonargparse import Namespace
from lightning.pytorch.callbacks import Callback, ModelSummary, ProgressBar

from visiontasks.callbacks.progress import RunProgress
from visiontasks.tasks.summary import TaskSummary


def screen_callbacks(trainer: Namespace, given: Sequence[Callback], evaluates: bool) -> list[Callback]:
    """Create the callbacks that show a run, unless the user turns them off or has others.

    Args:
        trainer: The configuration of the Trainer.
        given: Callbacks given by the user.
        evaluates: Whether nothing is trained, so that no summary is wanted.
    """
    callbacks: list[Callback] = []
    if trainer.barebones:
        return callbacks
    if trainer.enable_progress_bar is not False and not any(isinstance(other, ProgressBar) for other in given):
        callbacks.append(RunProgress())
    summarized = evaluates or any(isinstance(other, ModelSummary | TaskSummary) for other in given)
    if trainer.enable_model_summary is not False and not summarized:
        callbacks.append(TaskSummary())
    return callbacks
