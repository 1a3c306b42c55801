"""What a task logs: the terms of its loss, and its metrics, once an epoch."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from visiontasks.errors import ArgumentError
from visiontasks.metrics.collection import compute_all
from visiontasks.metrics.loss_mean import LossMean
from visiontasks.tasks.finetuning import FinetunedModule

Stage = Literal["train", "val", "test"]


class LoggedModule(FinetunedModule):
    """A module with metrics for each stage, begun anew with each epoch.

    Metrics and losses of a stage that nothing was given to, as where a subclass logs its own in a step of its own, are
    not logged.
    """

    monitor: str = "val/loss"
    """The logged metric by which checkpoints are chosen."""
    monitor_mode: Literal["min", "max"] = "min"
    """Whether a low or a high value of it is good."""

    def __init__(self) -> None:
        super().__init__()
        # Compute groups are formed at the first update, which a process without images never sees.
        self.train_metrics = MetricCollection({}, prefix="train/", compute_groups=False)
        self.val_metrics = MetricCollection({}, prefix="val/", compute_groups=False)
        self.test_metrics = MetricCollection({}, prefix="test/", compute_groups=False)
        self.val_losses = LossMean()
        self.test_losses = LossMean()

    def add_metrics(self, metrics: Mapping[str, Metric], stages: tuple[Stage, ...] = ("val", "test")) -> None:
        """Log more metrics, as ``val/NAME`` and ``test/NAME``.

        Args:
            metrics: Metrics by name; every stage gets clones of them. They see what ``update_metrics`` gives them. One
                that gives a value per class is logged as ``NAME/CLASS``; of one that gives several by name, each has
                that name, behind the metric's own where another metric has it.
            stages: The stages that log them.
        """
        collections = {"train": self.train_metrics, "val": self.val_metrics, "test": self.test_metrics}
        for stage in stages:
            collections[stage].add_metrics({name: metric.clone() for name, metric in metrics.items()})

    @property
    def metrics(self) -> MetricCollection:
        """The metrics of the running stage; empty where it has none."""
        evaluated = self.test_metrics if self.trainer.testing else self.val_metrics
        return self.train_metrics if self.trainer.training else evaluated

    @property
    def last_evaluated(self) -> bool:
        """Whether the batch that is or was just evaluated is the last; callbacks end the epoch before their module."""
        loop: Any = self.trainer._evaluation_loop
        return bool(loop.batch_progress.is_last_batch)

    def on_train_epoch_start(self) -> None:
        """Begin anew, also after an epoch that was interrupted."""
        super().on_train_epoch_start()
        self.train_metrics.reset()

    def on_validation_epoch_start(self) -> None:
        """Begin anew, also after an epoch that was interrupted; check that images are normalised as they should be."""
        self.normalize.check_measured()
        self.val_losses.reset()
        self.val_metrics.reset()

    def on_test_epoch_start(self) -> None:
        """Begin anew, also after an epoch that was interrupted; check that images are normalised as they should be."""
        self.normalize.check_measured()
        self.test_losses.reset()
        self.test_metrics.reset()

    def on_train_epoch_end(self) -> None:
        """Log the training metrics of the epoch."""
        self._log_metrics(self.train_metrics)

    def on_validation_epoch_end(self) -> None:
        """Log the validation losses and metrics."""
        self._log_losses("val", self.val_losses)
        self._log_metrics(self.val_metrics)

    def on_test_epoch_end(self) -> None:
        """Log the test losses and metrics."""
        self._log_losses("test", self.test_losses)
        self._log_metrics(self.test_metrics)

    def add_up(self, terms: Any) -> tuple[Tensor, dict[str, Tensor]]:  # noqa: ANN401 (checked here)
        """Add the terms of a loss up.

        Args:
            terms: What ``losses`` returned.

        Returns:
            The sum, and the terms as tensors.

        Raises:
            ArgumentError: If they are not named scalars.
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
        # Logging is a third of Lightning's time per step; what is not written down need not be logged.
        trainer = self.trainer
        interval = trainer.log_every_n_steps  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight
        # An epoch that is shorter than the interval logs its last batch.
        short = trainer.num_training_batches / trainer.accumulate_grad_batches <= interval - 1
        # As Lightning counts for its loggers: several optimisers that step with one batch are one step.
        step = trainer.fit_loop.epoch_loop._batches_that_stepped + 1
        due = trainer.is_last_batch if short else interval and step % interval == 0
        if due:
            how: dict[str, Any] = {"on_step": not short, "on_epoch": short, "sync_dist": short, "batch_size": count}
            self.log("train/loss", loss, prog_bar=True, **how)
            if len(terms) > 1:
                named = {f"train/loss_{name}": term for name, term in terms.items()}
                self.log_dict(named, **how)

    def _log_losses(self, stage: Stage, losses: LossMean) -> None:
        if self._used(losses):
            self._log_epoch({f"{stage}/{name}": value for name, value in losses.compute().items()}, prog_bar=True)
        losses.reset()

    def _log_metrics(self, metrics: MetricCollection) -> None:
        """Log and reset; the metrics gather from all processes by themselves."""
        if len(metrics) and self._used(*metrics.values()):
            for name, value in compute_all(metrics).items():
                named = {name: value} if value.ndim == 0 else self._per_class(name, value)
                self._log_epoch(named, prog_bar=name == self.monitor)
        metrics.reset()

    def _used(self, *metrics: Metric) -> bool:
        """Whether any was given anything on any process; a process without images has nothing to give."""
        found = any(metric.update_called for metric in metrics)
        return self.trainer.strategy.reduce_boolean_decision(found, all=False)

    def _log_epoch(self, values: dict[str, Tensor], prog_bar: bool) -> None:
        # They are the same on every process; unlike the mean of them, their maximum is exactly that.
        self.log_dict(values, prog_bar=prog_bar, sync_dist=True, reduce_fx="max")

    def _per_class(self, name: str, values: Tensor) -> dict[str, Tensor]:
        names = self.class_names or [str(index) for index in range(len(values))]
        if values.shape != (len(names),):
            message = f"{name} has the shape {list(values.shape)}; expected one value, or one for each class, to log."
            raise ArgumentError(message)
        return {f"{name}/{class_name}": value for class_name, value in zip(names, values, strict=True)}
