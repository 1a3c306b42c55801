"""Logging of a task: loss terms and metrics, once per epoch."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from visiontasks.errors import ArgumentError
from visiontasks.metrics.collection import compute_all
from visiontasks.metrics.loss_mean import LossMean
from visiontasks.tasks.finetuning import FinetunedModule

Stage = Literal["train", "val", "test"]


class LoggedModule(FinetunedModule):
    """A module with metrics for each stage, reset at the start of each epoch.

    Metrics and losses that were never updated in a stage are not logged, for example if a subclass has its own step.
    If there are several loaders for validation or test, they are evaluated one after another with the same metrics, and
    logged as Lightning names them: ``val/loss/dataloader_idx_1``. What belongs to the first one is also logged as
    ``val/loss``, so that whatever monitors a metric by this name follows the first loader.
    """

    monitor: str = "val/loss"
    """Logged metric by which the best checkpoint is selected."""
    monitor_mode: Literal["min", "max"] = "min"
    """Whether lower or higher values of it are better."""

    def __init__(self) -> None:
        super().__init__()
        # Compute groups are formed at the first update, which never happens on a process without images.
        self.train_metrics = MetricCollection({}, prefix="train/", compute_groups=False)
        self.val_metrics = MetricCollection({}, prefix="val/", compute_groups=False)
        self.test_metrics = MetricCollection({}, prefix="test/", compute_groups=False)
        self.val_losses = LossMean()
        self.test_losses = LossMean()

    def add_metrics(self, metrics: Mapping[str, Metric], stages: tuple[Stage, ...] = ("val", "test")) -> None:
        """Log additional metrics as ``val/NAME`` and ``test/NAME``.

        Args:
            metrics: Metrics by name; every stage gets clones of them. They are updated by ``update_metrics``. A metric
                with one value per class is logged as ``NAME/CLASS``. The values of a metric that returns a dictionary
                are logged under their keys, prefixed by the metric's name if another metric has the same key.
            stages: The stages that log them.
        """
        collections = {"train": self.train_metrics, "val": self.val_metrics, "test": self.test_metrics}
        for stage in stages:
            collections[stage].add_metrics({name: metric.clone() for name, metric in metrics.items()})

    @property
    def metrics(self) -> MetricCollection:
        """The metrics of the running stage; empty if it has none."""
        evaluated = self.test_metrics if self.trainer.testing else self.val_metrics
        return self.train_metrics if self.trainer.training else evaluated

    @property
    def fitting(self) -> bool:
        """Whether a fit is running, its validations included; False without a trainer."""
        return self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING

    @property
    def last_evaluated(self) -> bool:
        """Whether the current or just evaluated batch is the last; callbacks end the epoch before their module."""
        loop: Any = self.trainer._evaluation_loop
        return bool(loop.batch_progress.is_last_batch)

    @property
    def loader_index(self) -> int | None:
        """Index of the loader that is evaluated, if there are several; None if there is one."""
        results: Any = self.trainer._results
        index: int | None = results.dataloader_idx
        return index

    def ends_loader(self, batch_idx: int) -> bool:
        """Return whether the current batch is the last one of its loader.

        Args:
            batch_idx: Index of the batch in its loader.
        """
        index = self.loader_index
        if index is None or self.last_evaluated:
            return self.last_evaluated
        loop: Any = self.trainer._evaluation_loop
        # Of loaders without a length, Lightning fetches one batch in advance.
        following = getattr(loop._data_fetcher, "batches", None)
        return bool(following[0][2] != index if following else batch_idx + 1 >= loop.max_batches[index])

    def on_train_epoch_start(self) -> None:
        """Reset the metrics, also after an interrupted epoch."""
        super().on_train_epoch_start()
        self.train_metrics.reset()

    def on_validation_epoch_start(self) -> None:
        """Reset the metrics, also after an interrupted epoch, and check that normalisation statistics were measured."""
        self.normalize.check_measured()
        self.val_losses.reset()
        self.val_metrics.reset()

    def on_test_epoch_start(self) -> None:
        """Reset the metrics, also after an interrupted epoch, and check that normalisation statistics were measured."""
        self.normalize.check_measured()
        self.test_losses.reset()
        self.test_metrics.reset()

    def on_train_epoch_end(self) -> None:
        """Log the training metrics of the epoch."""
        self._log_metrics(self.train_metrics)
        self.train_metrics.reset()

    def on_validation_epoch_end(self) -> None:
        """Log the validation losses and metrics, then reset them."""
        self._end_evaluation("val", self.val_losses, self.val_metrics)

    def on_test_epoch_end(self) -> None:
        """Log the test losses and metrics, then reset them."""
        self._end_evaluation("test", self.test_losses, self.test_metrics)

    def add_up(self, terms: Any) -> tuple[Tensor, dict[str, Tensor]]:  # noqa: ANN401 (checked here)
        """Add up the terms of a loss.

        Args:
            terms: The value returned by ``losses``.

        Returns:
            The sum, and the terms as tensors.

        Raises:
            ArgumentError: If the terms are not named scalars.
        """
        found: object = terms if isinstance(terms, Mapping) else type(terms).__name__
        if isinstance(terms, Mapping) and terms:
            tensors = {
                name: term if isinstance(term, Tensor) else torch.tensor(float(term), device=self.device)
                for name, term in terms.items()
            }
            if not any(term.ndim for term in tensors.values()):
                return torch.stack(list(tensors.values())).sum(), tensors
            found = {name: f"shape {list(term.shape)}" for name, term in tensors.items()}
        message = (
            f"{type(self).__name__}.losses returned {found}; expected a dict of named scalar tensors, such as "
            '{"cross_entropy": loss}.'
        )
        raise ArgumentError(message)

    def _log_terms(self, loss: Tensor, terms: dict[str, Tensor], count: int) -> None:
        # Logging takes a third of Lightning's time per step, so values that no logger would write are not logged.
        trainer = self.trainer
        interval = trainer.log_every_n_steps  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight
        # An epoch shorter than the interval logs its last batch.
        short = trainer.num_training_batches / trainer.accumulate_grad_batches <= interval - 1
        # Counted as Lightning does for its loggers: several optimisers stepping on one batch count as one step.
        step = trainer.fit_loop.epoch_loop._batches_that_stepped + 1
        due = trainer.is_last_batch if short else interval and step % interval == 0
        if due:
            how: dict[str, Any] = {"on_step": not short, "on_epoch": short, "sync_dist": short, "batch_size": count}
            self.log("train/loss", loss, prog_bar=True, **how)
            if len(terms) > 1:
                named = {f"train/loss_{name}": term for name, term in terms.items()}
                self.log_dict(named, **how)

    def _end_evaluation(self, stage: Stage, losses: LossMean, metrics: MetricCollection) -> None:
        loop: Any = self.trainer._evaluation_loop
        # Those of several loaders were logged at the end of each.
        if loop.num_dataloaders == 1:
            self._log_scores(stage, losses, metrics)
        losses.reset()
        metrics.reset()

    def _log_scores(self, stage: Stage, losses: LossMean, metrics: MetricCollection) -> None:
        """Log the losses and metrics of a loader."""
        if self._used(losses):
            self._log_epoch({f"{stage}/{name}": value for name, value in losses.compute().items()}, prog_bar=True)
        self._log_metrics(metrics)

    def _log_metrics(self, metrics: MetricCollection) -> None:
        """Log the metrics, which synchronise across processes themselves."""
        if len(metrics) and self._used(*metrics.values()):
            for name, value in compute_all(metrics).items():
                named = {name: value} if value.ndim == 0 else self._per_class(name, value)
                self._log_epoch(named, prog_bar=name == self.monitor)

    def _used(self, *metrics: Metric) -> bool:
        """Whether any of the metrics was updated on any process; those of a process without images are not."""
        found = any(metric.update_called for metric in metrics)
        return self.trainer.strategy.reduce_boolean_decision(found, all=False)

    def _log_epoch(self, values: dict[str, Tensor], prog_bar: bool) -> None:
        # The values are equal on all processes; unlike their mean, their maximum is exactly that value.
        how: dict[str, Any] = {"on_step": False, "on_epoch": True, "sync_dist": True, "reduce_fx": "max"}
        first = self.loader_index == 0
        self.log_dict(values, prog_bar=prog_bar and not first, **how)
        if first:
            self.log_dict(values, prog_bar=prog_bar, add_dataloader_idx=False, **how)

    def _per_class(self, name: str, values: Tensor) -> dict[str, Tensor]:
        names = self.class_names or [str(index) for index in range(len(values))]
        if values.shape != (len(names),):
            message = f"{name} has the shape {list(values.shape)}; expected one value, or one for each class, to log."
            raise ArgumentError(message)
        return {f"{name}/{class_name}": value for class_name, value in zip(names, values, strict=True)}
