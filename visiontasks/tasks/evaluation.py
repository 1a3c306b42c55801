"""One evaluated batch: its losses, metrics and predictions."""

from typing import TYPE_CHECKING, Any, Literal

from visiontasks.tasks.loaders import ends_loader, loader_index
from visiontasks.tasks.scores import log_scores, sum_losses

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
    batch = task.as_batch(batch)
    outputs = task.eval_forward(*task.inputs(batch))
    loss, terms = sum_losses(task, task.losses(outputs, batch))
    named = {f"loss_{name}": term for name, term in terms.items()} if len(terms) > 1 else {}
    task.scores.losses(stage).update({"loss": loss, **named}, len(batch.images))
    predictions = None
    # A process that has no images left gets one empty batch, so that all processes take part in collectives.
    if len(batch.images):
        task.update_from_outputs(outputs, batch)
        predictions = task.predict(outputs)
        task.update_metrics(predictions, batch)
    if ends_loader(task.trainer, batch_idx):
        task.complete_metrics(stage)
        # Lightning tells loaders apart only in what is logged in a step.
        if several:
            log_scores(task, stage)
    return predictions
