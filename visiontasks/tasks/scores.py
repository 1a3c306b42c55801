"""Losses and metrics of a task: summed, computed over an epoch, and logged."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from visiontasks.errors import ArgumentError
from visiontasks.metrics.collection import compute_all
from visiontasks.metrics.loss_mean import LossMean
from visiontasks.tasks.arriving import Arriving
from visiontasks.tasks.loaders import loader_count, loader_index
from visiontasks.tasks.owned import OwnedCallback

if TYPE_CHECKING:
    import visiontasks.tasks.task
    from visiontasks.tasks.task import Task

Stage = Literal["train", "val", "test"]


class Scores(nn.Module):
    """The metrics and the mean losses of each stage.

    Example:
        >>> from torchmetrics import MeanMetric
        >>> scores = Scores()
        >>> scores.add({"error": MeanMetric()}, ("val",))
        >>> scores.metrics("val").update(torch.tensor([1.0, 2.0]))
        >>> scores.losses("val").update({"loss": torch.tensor(3.0)}, 2)
        >>> scores.values("val", any)
        {'val/loss': tensor(3.), 'val/error': tensor(1.5000)}
    """

    def __init__(self) -> None:
        super().__init__()
        # Compute groups are formed at the first update, which never happens on a process without images.
        self.train_metrics = MetricCollection({}, prefix="train/", compute_groups=False)
        self.val_metrics = MetricCollection({}, prefix="val/", compute_groups=False)
        self.test_metrics = MetricCollection({}, prefix="test/", compute_groups=False)
        self.train_losses = LossMean()
        self.val_losses = LossMean()
        self.test_losses = LossMean()

    def metrics(self, stage: Stage) -> MetricCollection:
        """Return the metrics of a stage."""
        return {"train": self.train_metrics, "val": self.val_metrics, "test": self.test_metrics}[stage]

    def losses(self, stage: Stage) -> LossMean:
        """Return the mean losses of a stage."""
        return {"train": self.train_losses, "val": self.val_losses, "test": self.test_losses}[stage]

    def of_training(self) -> list[Metric]:
        """Return what is counted over an epoch of training."""
        return [*self.train_metrics.values(), self.train_losses]

    def add(self, metrics: Mapping[str, Metric], stages: Sequence[Stage]) -> None:
        """Add metrics to stages.

        Args:
            metrics: Metrics by name; every stage gets clones of them. They are updated by ``update_metrics``. A metric
                with one value per class is logged as ``NAME/CLASS``. The values of a metric that returns a dictionary
                are logged under their keys, prefixed by the metric's name if another metric has the same key.
            stages: The stages that log them, as ``STAGE/NAME``.
        """
        for stage in stages:
            self.metrics(stage).add_metrics({name: metric.clone() for name, metric in metrics.items()})

    def reset(self, stage: Stage) -> None:
        """Forget what a stage has seen."""
        self.metrics(stage).reset()
        self.losses(stage).reset()

    def values(self, stage: Stage, on_any_process: Callable[[list[bool]], bool]) -> dict[str, Tensor]:
        """Compute the losses and metrics of a stage, as far as they were updated.

        They are not if a subclass has its own step.

        Args:
            stage: The stage.
            on_any_process: Whether one of the flags is true on any process; those of a process without images are not.

        Returns:
            Values by name, such as ``val/loss``: one, or one for each class.
        """
        values: dict[str, Tensor] = {}
        if on_any_process([self.losses(stage).update_called]):
            values |= {f"{stage}/{name}": value for name, value in self.losses(stage).compute().items()}
        metrics = self.metrics(stage)
        if len(metrics) and on_any_process([metric.update_called for metric in metrics.values()]):
            values |= compute_all(metrics)
        return values


class ScoreLogging(OwnedCallback):
    """Logs losses and metrics at the end of an epoch, and resets them before the next, also after an interrupted one.

    If there are several loaders for validation or test, they are evaluated one after another with the same metrics, and
    logged as Lightning names them: ``val/loss/dataloader_idx_1``. What belongs to the first one is also logged as
    ``val/loss``, so that whatever monitors a metric by this name follows the first loader.
    """

    def __init__(self) -> None:
        self._shown: Arriving | None = None

    def show(self, trainer: Trainer, loss: Tensor) -> None:
        """Show the loss of a step in the progress bar, on a GPU when it has arrived.

        Logged with ``prog_bar=True``, Lightning would wait for it after every batch from then on.

        Args:
            trainer: The Trainer.
            loss: The loss.
        """
        self._shown = Arriving(loss)
        self._show_arrived(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ANN401 (as in Lightning)
        """Show the loss of a step before, if it has arrived since."""
        self._show_arrived(trainer)

    def _show_arrived(self, trainer: Trainer) -> None:
        if self._shown is not None and self._shown.arrived:
            trainer.progress_bar_metrics["train/loss_step"] = self._shown.item()
            self._shown = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the losses and metrics of training."""
        cast("Task", pl_module).scores.reset("train")

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the losses and metrics of validation."""
        cast("Task", pl_module).scores.reset("val")

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the losses and metrics of the test."""
        cast("Task", pl_module).scores.reset("test")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the losses and metrics of training."""
        log_scores(cast("Task", pl_module), "train")

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the losses and metrics of validation; those of several loaders were logged at the end of each."""
        if loader_count(trainer) == 1:
            log_scores(cast("Task", pl_module), "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the losses and metrics of the test; those of several loaders were logged at the end of each."""
        if loader_count(trainer) == 1:
            log_scores(cast("Task", pl_module), "test")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Free the memory of what was trained on; hooks of the module at the end of an epoch still see them."""
        cast("Task", pl_module).scores.reset("train")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Free the memory of what was validated."""
        cast("Task", pl_module).scores.reset("val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Free the memory of what was tested."""
        cast("Task", pl_module).scores.reset("test")


def log_scores(task: "visiontasks.tasks.task.Task", stage: Stage) -> None:
    """Log the losses and metrics of a stage; they synchronise across processes themselves.

    Args:
        task: The task.
        stage: The stage.
    """

    def on_any_process(flags: list[bool]) -> bool:
        return task.trainer.strategy.reduce_boolean_decision(any(flags), all=False)

    for name, value in task.scores.values(stage, on_any_process).items():
        log_value(task, name, value, prog_bar=name in (task.monitor, f"{stage}/loss"))


def log_value(task: "visiontasks.tasks.task.Task", name: str, value: Tensor, *, prog_bar: bool = False) -> None:
    """Log a value of an epoch that is equal on all processes.

    Args:
        task: The task.
        name: Its name, such as ``val/iou``.
        value: One value, or one for each class, which is logged as ``val/iou/CLASS``.
        prog_bar: Whether the progress bar shows it.

    Raises:
        ArgumentError: If it has another shape.
    """
    values = {name: value}
    if value.ndim:
        classes = task.class_names or [str(index) for index in range(len(value))]
        if value.shape != (len(classes),):
            message = f"{name} has the shape {list(value.shape)}; expected one value, or one for each class, to log."
            raise ArgumentError(message)
        values = {f"{name}/{class_name}": one for class_name, one in zip(classes, value, strict=True)}
    # Unlike their mean, the maximum of equal values is exactly that value.
    how: dict[str, Any] = {"on_step": False, "on_epoch": True, "sync_dist": True, "reduce_fx": "max"}
    first = loader_index(task.trainer) == 0
    task.log_dict(values, prog_bar=prog_bar and not first, **how)
    if first:
        task.log_dict(values, prog_bar=prog_bar, add_dataloader_idx=False, **how)


def sum_losses(task: "visiontasks.tasks.task.Task", terms: Any) -> tuple[Tensor, dict[str, Tensor]]:  # noqa: ANN401 (checked here)
    """Sum the terms of a loss.

    Args:
        task: The task.
        terms: The value returned by its ``losses``.

    Returns:
        The sum, and the terms as tensors.

    Raises:
        ArgumentError: If the terms are not named scalars.
    """
    given: object = terms if isinstance(terms, Mapping) else type(terms).__name__
    if isinstance(terms, Mapping) and terms:
        tensors = {
            name: term if isinstance(term, Tensor) else torch.tensor(float(term), device=task.device)
            for name, term in terms.items()
        }
        if not any(term.ndim for term in tensors.values()):
            return torch.stack(list(tensors.values())).sum(), tensors
        given = {name: f"shape {list(term.shape)}" for name, term in tensors.items()}
    message = (
        f"{type(task).__name__}.losses returned {given}; expected a dict of named scalar tensors, such as "
        '{"cross_entropy": loss}.'
    )
    raise ArgumentError(message)


def log_training_loss(
    task: "visiontasks.tasks.task.Task", loss: Tensor, terms: Mapping[str, Tensor], count: int
) -> None:
    """Count the loss of a training step and its terms for the epoch; log them at the trainer's interval.

    Those of a step are logged as ``train/loss_step``, their means over the epoch as ``train/loss``. A loss that is not
    finite does not count: its step is skipped, or the training stops.

    Args:
        task: The task.
        loss: The sum of the terms.
        terms: The terms by name.
        count: Number of images in the batch.
    """
    named = {"loss": loss.detach()}
    if len(terms) > 1:
        named |= {f"loss_{name}": term.detach() for name, term in terms.items()}
    finite = named["loss"].isfinite()
    task.scores.train_losses.update({name: term.where(finite, 0) for name, term in named.items()}, finite * count)
    # Logging takes a third of Lightning's time per step, so values that no logger would write are not logged.
    trainer = task.trainer
    interval = trainer.log_every_n_steps  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight
    # Counted as Lightning does for its loggers: several optimisers stepping on one batch count as one step.
    step = trainer.fit_loop.epoch_loop._batches_that_stepped + 1
    if interval and step % interval == 0:
        for name, term in named.items():
            task.log(f"train/{name}_step", term, batch_size=count)
        task._parts.score_logging.show(trainer, named["loss"])
