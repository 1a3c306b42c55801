"""One batch in evaluation: its losses, metrics and predictions."""

from typing import TYPE_CHECKING, Any, Literal

from visiontasks.tasks.loaders import ends_loader, loader_index
from visiontasks.tasks.same_sizes import join, split_by_size
from visiontasks.tasks.scores import log_scores, sum_losses
from visiontasks.tasks.views import multiple_of

if TYPE_CHECKING:
    import visiontasks.tasks.task


def evaluate(task: "visiontasks.tasks.task.Task", batch: Any, batch_idx: int, stage: Literal["val", "test"]) -> Any:  # noqa: ANN401 (each task has its own)
    """Update the losses and metrics of a stage.

    Args:
        task: The task.
        batch: The batch.
        batch_idx: Its index in its loader.
        stage: The stage.

    Returns:
        The predictions, or None for a batch without images.
    """
    several = loader_index(task.trainer) is not None
    if several and batch_idx == 0:
        task.scores.reset(stage)
    predictions = []
    for rows, part in split_by_size(task.as_batch(batch), multiple_of(task)):
        outputs = task.eval_forward(*task.inputs(part))
        loss, terms = sum_losses(task, task.losses(outputs, part))
        named = {f"loss_{name}": term for name, term in terms.items()} if len(terms) > 1 else {}
        task.scores.losses(stage).update({"loss": loss, **named}, len(rows))
        # A process that has no images left gets one empty batch, so that all processes take part in collectives.
        if rows:
            task.update_from_outputs(outputs, part)
            predictions.append((rows, task.predict(outputs)))
            task.update_metrics(predictions[-1][1], part)
    if ends_loader(task.trainer, batch_idx):
        task.complete_metrics(stage)
        # Lightning tells loaders apart only in what is logged in a step.
        if several:
            log_scores(task, stage)
    return join(predictions) if predictions else None


def predict_batch(task: "visiontasks.tasks.task.Task", batch: Any) -> Any:  # noqa: ANN401 (each task has its own)
    """Predict a batch, whose images do not influence one another.

    Args:
        task: The task.
        batch: The batch.
    """
    parts = split_by_size(batch, multiple_of(task))
    return join([(rows, task.predict(task.eval_forward(*task.inputs(part)))) for rows, part in parts])
