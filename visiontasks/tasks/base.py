"""What every task shares: steps, logging, optimiser, checkpoints."""

import inspect
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from visiontasks.backbones import Backbone, create_backbone
from visiontasks.backbones.base import Freeze
from visiontasks.errors import ArgumentError, NonFiniteLossError
from visiontasks.metrics.loss_mean import LossMean
from visiontasks.tasks.agreement import check_agreement, check_classes, check_precision
from visiontasks.tasks.batches import has_images_alone, name_fields
from visiontasks.tasks.checkpoint_io import SafeCheckpointIO
from visiontasks.tasks.logged import LoggedModule
from visiontasks.tasks.normalization import MEASURED, Normalization
from visiontasks.tasks.optimization import NamedSchedule
from visiontasks.types import AutoencodingBatch, DataDescription, ids_of


class Task(LoggedModule, ABC):
    """A backbone that learns a task.

    A subclass builds its head in the constructor from ``self.backbone.channels`` and ``self.backbone.strides``, and
    implements :meth:`forward`, :meth:`losses`, :meth:`predict` and :meth:`update_metrics`. Every one of them may be
    overridden again by a user's subclass. Arguments of the constructor that are plain values are saved in the
    checkpoint by themselves.

    Args:
        backbone: Name of a backbone (see :func:`~visiontasks.backbones.list_backbones`) or a backbone. A name is saved
            in the checkpoint; an instance has to be passed to ``load_from_checkpoint`` again.
        backbone_options: Arguments of a named backbone.
        backbone_weights: ``"imagenet"`` for torchvision's published weights of a named backbone, or a file: a state
            dict, a torchvision classifier, or a checkpoint of any task. A checkpoint does not need them again.
        freeze: What of the backbone does not train, batch-norm statistics included: ``"none"``, ``"all"``, or a number
            of stages from the fine end.
        in_channels: Channels of the images.
        image_size: Height and width in pixels of the images; by default the data module's, noted at the start of a fit.
            Prediction on files resizes to it.
        normalization: How pixels are normalised, see :class:`~visiontasks.tasks.normalization.Normalize`. By default
            as the weights expect it, with the statistics of the task that they come from; else ``"imagenet"``.
        optimizer: Makes the optimiser from parameters, such as ``lambda p: torch.optim.SGD(p, lr=0.1)``. Norms and
            biases are then taken out of its weight decay.
        lr_scheduler: ``"cosine"`` or ``"constant"``, per step after a linear warm-up; or makes a scheduler from an
            optimiser.
        lr_interval: When a scheduler of your own steps.
        warmup: Share of all training steps in which a named schedule warms up, 0 to 1.
        backbone_lr_factor: Learning rate of the backbone, as a multiple of the head's; above 0.

    Raises:
        ArgumentError: If arguments contradict each other or name something unknown.
        CheckpointError: If the weights are damaged, unsafe, or not those of the backbone.
        DownloadError: If published weights are not in the cache and cannot be downloaded.
    """

    takes: str | None = None
    """What a data module yields for it; None for anything."""
    batch_type: Any = AutoencodingBatch
    """The named tuple of its batches, which a plain pair of tensors becomes where that says enough."""
    num_classes: int | None = None
    """How many classes it tells apart, which are then those of the data; None for a task without."""

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
        """Names of the classes as they are shown: their numbers where they have no names."""
        return self.class_names or [str(label) for label in range(self.num_classes or 0)]

    # What a subclass defines.

    def inputs(self, batch: Any) -> tuple[Any, ...]:  # noqa: ANN401 (each task has its own)
        """Select what :meth:`forward` sees of a batch; by default the images."""
        return (batch.images,)

    @abstractmethod
    def losses(self, outputs: Any, batch: Any) -> dict[str, Float[Tensor, ""]]:  # noqa: ANN401 (each task has its own)
        """Compute the named terms of the loss; their sum is optimised, and all are logged."""

    @abstractmethod
    def predict(self, outputs: Any) -> Any:  # noqa: ANN401 (each task has its own)
        """Turn raw outputs into what a user wants to see."""

    def update_metrics(self, predictions: Any, batch: Any) -> None:  # noqa: ANN401 (each task has its own)
        """Update ``self.metrics``, the metrics of the running stage."""

    def observe(self, outputs: Any, batch: Any) -> None:  # noqa: ANN401 (each task has its own)
        """Look at the raw outputs of an evaluated batch that has images; by default nothing is done."""

    # Steps.

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ANN401 (each task has its own)
        """Compute the loss of a batch; log its terms at the trainer's interval.

        Raises:
            NonFiniteLossError: If the loss is infinite or NaN. One synchronisation on an accelerator; none on the CPU.
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
        if not torch.isfinite(loss):
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

    def validation_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ANN401 (each task has its own)
        """Update validation losses and metrics; return the predictions, None of a batch without images."""
        return self._evaluate(batch, self.val_losses)

    def test_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ANN401 (each task has its own)
        """Update test losses and metrics; return the predictions, None of a batch without images."""
        return self._evaluate(batch, self.test_losses)

    def predict_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ANN401 (each task has its own)
        """Predict a batch; images alone are enough."""
        if has_images_alone(batch):
            batch = name_fields(batch, self.batch_type, type(self).__name__, alone=True)
        else:
            batch = self.as_batch(batch)
        return self.predict(self.infer(*self.inputs(batch)))

    def infer(self, *inputs: Any) -> Any:  # noqa: ANN401 (each task has its own)
        """Compute the outputs that are evaluated and predicted from; by default those of :meth:`forward`."""
        return self(*inputs)

    def as_batch(self, batch: Any) -> Any:  # noqa: ANN401 (whatever a user's loader yields)
        """Give the fields of a batch their names, where a loader yields pairs of images and truth.

        In autoencoding images alone are enough.

        Raises:
            ArgumentError: If the batch has no ``images`` and is no such pair.
        """
        return name_fields(batch, self.batch_type, type(self).__name__, alone=self.batch_type is AutoencodingBatch)

    def _evaluate(self, batch: Any, losses: LossMean) -> Any:  # noqa: ANN401 (each task has its own)
        batch = self.as_batch(batch)
        outputs = self.infer(*self.inputs(batch))
        loss, terms = self.add_up(self.losses(outputs, batch))
        named = {f"loss_{name}": term for name, term in terms.items()} if len(terms) > 1 else {}
        losses.update({"loss": loss, **named}, len(batch.images))
        # A process without images left gets one empty batch, so that all take part in what they gather.
        if not len(batch.images):
            return None
        self.observe(outputs, batch)
        predictions = self.predict(outputs)
        self.update_metrics(predictions, batch)
        return predictions

    def setup(self, stage: str) -> None:
        """Take over from the data module what the checkpoint has to know, and have checkpoints written safely.

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
                # Lightning compares the hyperparameters of task and data, where a data module saves its own.
                self.save_instead(image_size=self.image_size)
                self.image_bounds = getattr(data, "image_bounds", None)
                if self.normalize.mode in MEASURED and not self.normalize.measured:
                    self.normalize.set_statistics(data.statistics())
        if stage == "fit":
            self.normalize.check_measured()

    def check_data(self, data: DataDescription) -> None:
        """Check that a data module fits the task, and take over the names of the classes if none were given.

        Raises:
            ArgumentError: If it does not.
        """
        check_agreement(data, type(data).__name__, type(self).__name__, self.takes, self.in_channels)
        self.normalize.check_image_size(data.image_size)
        if self.num_classes is not None:
            self.class_names = check_classes(data, self.num_classes, self.class_names)


# The default is a lambda, out of whose source the command line reads class and arguments. Pickle looks a function up by
# its qualified name, and finds it here.
_default = inspect.signature(Task).parameters["optimizer"].default
setattr(Task, _default.__qualname__.rpartition(".")[2], staticmethod(_default))
