"""The base class of all tasks: steps, logging, optimiser, checkpoints."""

import inspect
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import Callback
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor
from torchmetrics import MetricCollection

from visiontasks.backbones import Backbone, create_backbone
from visiontasks.backbones.base import Freeze
from visiontasks.errors import ArgumentError, NonFiniteLossError
from visiontasks.metrics.loss_mean import LossMean
from visiontasks.tasks.agreement import check_agreement, check_classes, check_precision
from visiontasks.tasks.batches import has_images_alone, name_fields
from visiontasks.tasks.checkpoint_io import SafeCheckpointIO
from visiontasks.tasks.logged import LoggedModule, Stage
from visiontasks.tasks.normalization import MEASURED, Normalization
from visiontasks.tasks.optimization import NamedSchedule, ends_search
from visiontasks.tasks.process_group import ProcessGroupErrors
from visiontasks.types import AutoencodingBatch, DataDescription, ids_of


class Task(LoggedModule, ABC):
    """Base class of a backbone with a head that is trained on a task.

    A subclass builds its head in the constructor from ``self.backbone.channels`` and ``self.backbone.strides``, and
    implements :meth:`forward`, :meth:`losses`, :meth:`predict` and :meth:`update_metrics`. A user's subclass may
    override any of them. Constructor arguments that are plain values are saved in the checkpoint automatically.

    Args:
        backbone: Name of a backbone (see :func:`~visiontasks.backbones.list_backbones`) or a backbone. A name is saved
            in the checkpoint; an instance must be passed to ``load_from_checkpoint`` again.
        backbone_options: Arguments of a named backbone.
        backbone_weights: ``"imagenet"`` for torchvision's published weights of a named backbone, or a file: a state
            dict, a torchvision classifier, or a checkpoint of any task. They are not needed again when a checkpoint is
            loaded.
        freeze: Part of the backbone that is not trained, batch-norm statistics included: ``"none"``, ``"all"``, or a
            number of stages, counted from the finest.
        in_channels: Channels of the images.
        image_size: Height and width of the images in pixels; by default the data module's, recorded at the start of a
            fit. Files are resized to it for prediction.
        normalization: How pixels are normalised, see :class:`~visiontasks.tasks.normalization.Normalize`. By default as
            the weights expect it, with the statistics of the task that they come from; ``"imagenet"`` without weights.
        optimizer: Function that creates the optimiser from parameters, such as
            ``lambda p: torch.optim.SGD(p, lr=0.1)``. Norms and biases are then excluded from weight decay.
        lr_scheduler: ``"cosine"`` or ``"constant"``, applied per step after a linear warm-up; or a function that
            creates a scheduler from an optimiser.
        lr_interval: Interval at which a custom scheduler steps.
        warmup: Share of all training steps in which a named schedule warms up, 0 to 1.
        backbone_lr_factor: Learning rate of the backbone, as a multiple of the head's; above 0.

    Raises:
        ArgumentError: If arguments contradict each other or name something unknown.
        CheckpointError: If the weights are damaged, unsafe, or do not fit the backbone.
        DownloadError: If published weights are not in the cache and cannot be downloaded.
    """

    takes: str | None = None
    """Kind of data that it takes; None for any."""
    batch_type: Any = AutoencodingBatch
    """NamedTuple of its batches, to which a plain pair of tensors is converted if it holds enough."""
    num_classes: int | None = None
    """Number of classes, which must be that of the data; None for a task without classes."""

    def __init__(
        self,
        *,
        backbone: str | Backbone = "cnn",
        backbone_options: dict[str, Any] | None = None,
        backbone_weights: str | Path | None = None,
        freeze: Freeze = "none",
        in_channels: int = 3,
        image_size: tuple[int, int] | None = None,
        normalization: Normalization | None = None,
        optimizer: OptimizerCallable = lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.05),
        lr_scheduler: LRSchedulerCallable | NamedSchedule = "cosine",
        lr_interval: Literal["epoch", "step"] = "epoch",
        warmup: float = 0.05,
        backbone_lr_factor: float = 1.0,
    ) -> None:
        super().__init__()
        name = backbone if isinstance(backbone, str) else None
        if isinstance(backbone, str):
            backbone = create_backbone(backbone, in_channels, **(backbone_options or {}))
        elif backbone_options:
            message = "backbone_options are for a named backbone; the one given is already built."
            raise ArgumentError(message)
        self.backbone = backbone
        self.in_channels = in_channels
        self.image_size = image_size
        self.class_names: list[str] | None = None
        self.start_from(backbone_weights, name, normalization)
        self.freeze_backbone(freeze, backbone_lr_factor)
        self._optimizer = optimizer
        self._lr_scheduler = lr_scheduler
        self._lr_interval = lr_interval
        self._warmup = warmup

    @property
    def display_names(self) -> list[str]:
        """Display names of the classes: their numbers if they have no names."""
        return self.class_names or [str(label) for label in range(self.num_classes or 0)]

    # Methods that a subclass defines.

    def inputs(self, batch: Any) -> tuple[Any, ...]:  # noqa: ANN401 (each task has its own)
        """Select the inputs of :meth:`forward` from a batch; by default the images."""
        return (batch.images,)

    @abstractmethod
    def losses(self, outputs: Any, batch: Any) -> dict[str, Float[Tensor, ""]]:  # noqa: ANN401 (each task has its own)
        """Compute the named terms of the loss; their sum is optimised, and all are logged."""

    @abstractmethod
    def predict(self, outputs: Any) -> Any:  # noqa: ANN401 (each task has its own)
        """Convert raw outputs to predictions for the user."""

    def update_metrics(self, predictions: Any, batch: Any) -> None:  # noqa: ANN401 (each task has its own)
        """Update ``self.metrics``, the metrics of the running stage."""

    def observe(self, outputs: Any, batch: Any) -> None:  # noqa: ANN401 (each task has its own)
        """Hook for the raw outputs of an evaluated batch with images; does nothing by default."""

    def complete_metrics(self, stage: Stage) -> None:
        """Hook after the last batch of a loader, before its metrics are computed; does nothing by default."""

    # Steps.

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ANN401 (each task has its own)
        """Compute the loss of a batch, and log its terms at the trainer's interval.

        A loss that is not finite ends a search for a learning rate, which is to find where training diverges.

        Raises:
            NonFiniteLossError: If the loss is infinite or NaN. The check costs one synchronisation on an accelerator.
            ArgumentError: If the batch is too small for batch norm.
        """
        batch = self.as_batch(batch)
        try:
            outputs = self(*self.inputs(batch))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            message = (
                f"Batch norm cannot train on a batch of {len(batch.images)}: a channel has a single value. Use a "
                "larger batch size (with drop_last for the rest of an epoch), larger images, or a backbone with norm "
                "'group'."
            )
            raise ArgumentError(message) from error
        loss, terms = self.add_up(self.losses(outputs, batch))
        if not torch.isfinite(loss) and not ends_search(self.trainer):
            values = ", ".join(f"{name} {term.item()}" for name, term in terms.items())
            message = (
                f"The loss is not finite at step {self.global_step} ({values}) for the images with ids "
                f"{ids_of(batch).tolist()}; the weights were not updated with it. Lower the learning rate, or look at "
                "these images."
            )
            raise NonFiniteLossError(message)
        if len(self.train_metrics):
            with torch.no_grad():
                self.update_metrics(self.predict(outputs), batch)
        self._log_terms(loss, terms, len(batch.images))
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:  # noqa: ANN401 (as above)
        """Update validation losses and metrics; return the predictions, or None for a batch without images."""
        return self._evaluate(batch, batch_idx, "val", self.val_losses, self.val_metrics)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:  # noqa: ANN401 (as above)
        """Update test losses and metrics; return the predictions, or None for a batch without images."""
        return self._evaluate(batch, batch_idx, "test", self.test_losses, self.test_metrics)

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:  # noqa: ANN401 (as above)
        """Predict a batch, which may consist of images only."""
        if has_images_alone(batch):
            batch = name_fields(batch, self.batch_type, type(self).__name__, alone=True)
        else:
            batch = self.as_batch(batch)
        return self.predict(self.infer(*self.inputs(batch)))

    def infer(self, *inputs: Any) -> Any:  # noqa: ANN401 (each task has its own)
        """Compute the outputs for evaluation and prediction; by default those of :meth:`forward`."""
        return self(*inputs)

    def as_batch(self, batch: Any) -> Any:  # noqa: ANN401 (whatever a user's loader yields)
        """Convert a batch to the task's NamedTuple if a loader yields plain pairs of images and targets.

        For autoencoding, images alone are enough.

        Raises:
            ArgumentError: If the batch has no ``images`` and is not such a pair.
        """
        return name_fields(batch, self.batch_type, type(self).__name__, alone=self.batch_type is AutoencodingBatch)

    def _evaluate(
        self,
        batch: Any,  # noqa: ANN401 (each task has its own)
        batch_idx: int,
        stage: Stage,
        losses: LossMean,
        metrics: MetricCollection,
    ) -> Any:  # noqa: ANN401 (each task has its own)
        several = self.loader_index is not None
        if several and batch_idx == 0:
            losses.reset()
            metrics.reset()
        batch = self.as_batch(batch)
        outputs = self.infer(*self.inputs(batch))
        loss, terms = self.add_up(self.losses(outputs, batch))
        named = {f"loss_{name}": term for name, term in terms.items()} if len(terms) > 1 else {}
        losses.update({"loss": loss, **named}, len(batch.images))
        predictions = None
        # A process that has no images left gets one empty batch, so that all processes take part in collectives.
        if len(batch.images):
            self.observe(outputs, batch)
            predictions = self.predict(outputs)
            self.update_metrics(predictions, batch)
        if self.ends_loader(batch_idx):
            self.complete_metrics(stage)
            # Lightning tells loaders apart only in what is logged in a step.
            if several:
                self._log_scores(stage, losses, metrics)
        return predictions

    def configure_callbacks(self) -> list[Callback]:
        """Add the callback that explains why a process waited for another one in vain."""
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight
        there = any(isinstance(callback, ProcessGroupErrors) for callback in callbacks)
        return [] if there else [ProcessGroupErrors()]

    def setup(self, stage: str) -> None:
        """Adopt the properties of the data that the checkpoint has to record, and set up safe checkpoint files.

        Raises:
            ArgumentError: If the data or the precision do not fit the task.
        """
        super().setup(stage)
        if "boxes" in self.batch_type._fields:
            check_precision(self.trainer.precision)
        if type(self.trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            self.trainer.strategy.checkpoint_io = SafeCheckpointIO()
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, DataDescription):
            self.check_data(data)
            if stage == "fit":
                self.image_size = data.image_size or self.image_size
                # If a data module saves its hyperparameters, Lightning compares them with the task's.
                self.save_instead(image_size=self.image_size)
                self.image_bounds = getattr(data, "image_bounds", None)
                if self.normalize.mode in MEASURED and not self.normalize.measured:
                    self.normalize.set_statistics(data.statistics())
        if stage == "fit":
            self.normalize.check_measured()

    def check_data(self, data: DataDescription) -> None:
        """Check that a data module fits the task, and adopt its class names if none were given.

        Raises:
            ArgumentError: If it does not fit.
        """
        check_agreement(data, type(data).__name__, type(self).__name__, self.takes, self.in_channels)
        self.normalize.check_image_size(data.image_size)
        if self.num_classes is not None:
            self.class_names = check_classes(data, self.num_classes, self.class_names)


# The default is a lambda, because the command line reads class and arguments from its source. Pickle looks up a
# function by its qualified name, which is set to this one.
_default = inspect.signature(Task).parameters["optimizer"].default
setattr(Task, _default.__qualname__.rpartition(".")[2], staticmethod(_default))
