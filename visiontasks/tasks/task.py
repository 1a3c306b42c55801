"""The base class of all tasks: steps, logging, optimiser, checkpoints."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from visiontasks.arguments import note_constructor, noting
from visiontasks.backbones.backbone import Backbone, Freeze
from visiontasks.description import DataDescription
from visiontasks.kinds import Kind
from visiontasks.serialization import Source, name_of
from visiontasks.sizes import ImageSize, height_and_width
from visiontasks.tasks.agreement import check_agreement, check_classes
from visiontasks.tasks.batches import explained_batch_norm, has_images_alone, name_fields
from visiontasks.tasks.evaluation import evaluate, predict_batch
from visiontasks.tasks.normalization import Normalization
from visiontasks.tasks.optimization import NamedSchedule
from visiontasks.tasks.optimizer_setup import OptimizerSetup
from visiontasks.tasks.owned import OwnedCallback, protect_hooks
from visiontasks.tasks.parts import make_parts
from visiontasks.tasks.reading import read_task
from visiontasks.tasks.record import adopt_record, fitting_weights, restore, save_arguments, write_record
from visiontasks.tasks.scores import Scores, Stage, log_training_loss, sum_losses
from visiontasks.tasks.starting import built_backbone, start_backbone
from visiontasks.types import AutoencodingBatch, ids_of


class Task(LightningModule, ABC):
    """Base class of a backbone with a head that is trained on a task.

    A subclass builds its head in the constructor from ``self.backbone.channels`` and ``self.backbone.strides``, and
    implements :meth:`forward`, :meth:`losses`, :meth:`predict` and :meth:`update_metrics`. A user's subclass may
    override any of them. Constructor arguments that are plain values are saved in the checkpoint automatically.

    Args:
        backbone: Name of a backbone (see :func:`~visiontasks.backbones.list_backbones`) or a backbone. A name is saved
            in the checkpoint, and the class of an instance with its arguments if these are plain values.
        backbone_options: Arguments of a named backbone.
        backbone_weights: ``"imagenet"`` for published ones of a named backbone, or a file or folder of any program, see
            :func:`~visiontasks.backbones.weights.read_weights`. Not needed again when a checkpoint is loaded.
        freeze: Part of the backbone that is not trained, batch-norm statistics included: ``"none"``, ``"all"``, or a
            number of stages, counted from the finest.
        freeze_norms: Whether the batch norms of the backbone keep their statistics, factors and shifts; by default only
            in detection from pretrained weights.
        gradient_checkpointing: Whether blocks of the backbone are computed again for their gradients, to save memory.
        in_channels: Channels of the images.
        image_size: Height and width in pixels of images in prediction, or one number; by default those of a fit's data.
        normalization: Mode or numbers of :class:`~visiontasks.tasks.normalization.Normalize`. By default as the weights
            expect it, with the statistics of the task that they come from; ``"imagenet"`` without weights.
        optimizer: Function that creates the optimiser from parameters, such as
            ``lambda p: torch.optim.SGD(p, lr=0.1)``. Norms and biases are then excluded from weight decay.
        lr_scheduler: ``"cosine"`` or ``"constant"``, applied per step; or a function that creates a scheduler.
        lr_interval: Interval at which a custom scheduler steps.
        warmup: Share of the steps in which the rate rises, 0 to 1; by default 0.05 with a named schedule, else 0.
        backbone_lr_factor: Learning rate of the backbone, as a multiple of the head's; above 0.
        layer_decay: Factor by which the learning rate falls from the head to the last layer of the backbone, and on to
            each layer before, such as 0.75; see :func:`~visiontasks.tasks.layer_decay.decay_by_layer`. 1 for none.
        skip_nonfinite: Number of batches in a row that may be skipped because their loss or gradient is infinite or
            NaN, before the training stops; see :class:`~visiontasks.tasks.finiteness.FiniteUpdates`.

    Raises:
        ArgumentError: If arguments contradict each other or name something unknown.
        CheckpointError: If the weights are damaged, unsafe, or do not fit the backbone.
        DownloadError: If published weights are not in the cache and cannot be downloaded.
    """

    takes: str | None = None  #: Kind of data that it takes; None for any.
    #: NamedTuple of its batches, to which a plain pair of tensors is converted if it holds enough.
    batch_type: Any = AutoencodingBatch
    num_classes: int | None = None  #: Number of classes, which must be that of the data; None for a task without.
    monitor: str = "val/loss"  #: Logged metric by which the best checkpoint is selected.
    monitor_mode: Literal["min", "max"] = "min"  #: Whether lower or higher values of it are better.
    #: How its predictions are shown and written, where they are not those of this library.
    kind: ClassVar[Kind | None] = None
    any_size: bool = False  #: Whether images of any size are predicted as they are, if no other size is known.
    #: How images are brought to it in evaluation, recorded by a fit; see :mod:`visiontasks.tasks.views`.
    view: dict[str, Any] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401 (of any base beside this one)
        """Record the arguments of the constructor, and keep what hooks do that a subclass may override."""
        super().__init_subclass__(**kwargs)
        note_constructor(cls)
        protect_hooks(cls, (Task.on_save_checkpoint, Task.on_load_checkpoint))

    @noting
    def __init__(
        self,
        *,
        backbone: str | Backbone = "cnn",
        backbone_options: dict[str, Any] | None = None,
        backbone_weights: str | Path | None = None,
        freeze: Freeze = "none",
        freeze_norms: bool | None = None,
        gradient_checkpointing: bool = False,
        in_channels: int = 3,
        image_size: ImageSize | None = None,
        normalization: Normalization | None = None,
        optimizer: OptimizerCallable = lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.05),
        lr_scheduler: LRSchedulerCallable | NamedSchedule = "cosine",
        lr_interval: Literal["epoch", "step"] = "epoch",
        warmup: float | None = None,
        backbone_lr_factor: float = 1.0,
        layer_decay: float = 1.0,
        skip_nonfinite: int = 0,
    ) -> None:
        super().__init__()
        self._unsaved = save_arguments(self)
        self._record: dict[str, Any] = {}
        self._setup = OptimizerSetup(lr_scheduler, lr_interval, warmup, backbone_lr_factor, layer_decay).checked()
        self._optimizer = None if optimizer is _DEFAULT_OPTIMIZER else optimizer
        self.backbone = built_backbone(backbone, backbone_options, in_channels, gradient_checkpointing)
        self.in_channels = in_channels
        self.image_size = None if image_size is None else height_and_width("image_size", image_size)
        self.class_names: list[str] | None = None
        name = backbone if isinstance(backbone, str) else None
        self.normalize = start_backbone(self, backbone_weights, name, normalization)
        self.scores = Scores()
        self._parts = make_parts(freeze, bool(freeze_norms), skip_nonfinite)
        self._parts.unfreezing.freeze_backbone(self)
        self.owned_callbacks: tuple[OwnedCallback, ...] = self._parts

    @property
    def display_names(self) -> list[str]:
        """Display names of the classes: their numbers if they have no names."""
        return self.class_names or [str(label) for label in range(self.num_classes or 0)]

    @property
    def fitting(self) -> bool:
        """Whether a fit is running, its validations included; False without a trainer."""
        return self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING

    @property
    def metrics(self) -> MetricCollection:
        """The metrics of the running stage; empty if it has none."""
        return self.scores.metrics("train" if self.trainer.training else "test" if self.trainer.testing else "val")

    def add_metrics(self, metrics: Mapping[str, Metric], stages: Sequence[Stage] = ("val", "test")) -> None:
        """Log more metrics as ``val/NAME`` and so on, see :meth:`~visiontasks.tasks.scores.Scores.add`."""
        self.scores.add(metrics, stages)

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

    def update_from_outputs(self, outputs: Any, batch: Any) -> None:  # noqa: ANN401 (each task has its own)
        """Hook for the raw outputs of an evaluated batch with images; does nothing by default."""

    def complete_metrics(self, stage: Stage) -> None:
        """Hook after the last batch of a loader, before its metrics are computed; does nothing by default."""

    def measure(self, data: Any) -> None:  # noqa: ANN401 (any data module, or None)
        """Hook at the start of a fit to measure what the losses need on the data module's training split, if any."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ANN401 (each task has its own)
        """Compute the loss of a batch, and log its terms at the trainer's interval.

        Raises:
            ArgumentError: If the batch is too small for batch norm.
        """
        batch = self.as_batch(batch)
        with explained_batch_norm(batch):
            outputs = self(*self.inputs(batch))
        loss, terms = sum_losses(self, self.losses(outputs, batch))
        if self.fitting:
            self._parts.finite_updates.note(ids_of(batch), terms)
        if len(self.scores.train_metrics):
            with torch.no_grad():
                self.update_metrics(self.predict(outputs), batch)
        log_training_loss(self, loss, terms, len(batch.images))
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:  # noqa: ANN401 (as above)
        """Update validation losses and metrics; return the predictions, or None for a batch without images."""
        return evaluate(self, batch, batch_idx, "val")

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:  # noqa: ANN401 (as above)
        """Update test losses and metrics; return the predictions, or None for a batch without images."""
        return evaluate(self, batch, batch_idx, "test")

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:  # noqa: ANN401 (as above)
        """Predict a batch, which may consist of images only."""
        if has_images_alone(batch):
            batch = name_fields(batch, self.batch_type, type(self).__name__, alone=True)
        else:
            batch = self.as_batch(batch)
        return predict_batch(self, batch)

    def eval_forward(self, *inputs: Any) -> Any:  # noqa: ANN401 (each task has its own)
        """Compute the outputs for evaluation and prediction; by default those of :meth:`forward`."""
        return self(*inputs)

    def as_batch(self, batch: Any) -> Any:  # noqa: ANN401 (whatever a user's loader yields)
        """Convert a plain pair of images and targets (autoencoding: or images alone) to the task's NamedTuple.

        Raises:
            ArgumentError: If the batch has no ``images`` and is not such a pair.
        """
        return name_fields(batch, self.batch_type, type(self).__name__, alone=self.batch_type is AutoencodingBatch)

    def check_data(self, data: DataDescription) -> None:
        """Check that a data module fits the task, and adopt its class names if none were given.

        Raises:
            ArgumentError: If it does not fit.
        """
        check_agreement(data, type(data).__name__, type(self).__name__, self.takes, self.in_channels)
        self.normalize.check_image_size(data.image_size)
        if self.num_classes is not None:
            self.class_names = check_classes(data, self.num_classes, self.class_names)

    @property
    def lr(self) -> float:
        """Learning rate before any schedule, of several the first; setting it, as ``lr_find`` does, scales all."""
        return self._setup.rate(self._optimizer or _DEFAULT_OPTIMIZER, self)

    @lr.setter
    def lr(self, rate: float) -> None:
        self._setup = self._setup._replace(lr=rate)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Create the optimiser over the trainable parameters, and the schedule.

        Raises:
            ArgumentError: If the schedule gives the backbone the learning rate of the head.
        """
        optimizer = self._setup.make_optimizer(self._optimizer or _DEFAULT_OPTIMIZER, self)
        self._parts.unfreezing.begin(optimizer)
        schedule = self._setup.make_schedule(self, optimizer)
        return {"optimizer": optimizer, "lr_scheduler": schedule}  # type: ignore[return-value]  # as documented

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write what Lightning does not save; see :func:`~visiontasks.tasks.record.write_record`."""
        write_record(self, checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adopt what the checkpoint knows about the data; see :func:`~visiontasks.tasks.record.adopt_record`."""
        adopt_record(self, checkpoint)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:  # noqa: ANN401 (a type private to torch)
        """Load weights as torch does, whether or not this model or the saved one is compiled.

        Raises:
            CheckpointError: If the weights belong to another model; in that case nothing is copied.
        """
        return super().load_state_dict(fitting_weights(self, state_dict, strict=strict), strict, assign)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # narrower: no pickles, no hyperparameter files
        cls,
        checkpoint_path: Source,
        map_location: Any = None,  # noqa: ANN401 (what torch.load takes)
        strict: bool | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,  # noqa: ANN401 (the arguments of any subclass)
    ) -> Self:
        """Create the task that a checkpoint holds, with its weights.

        Args:
            checkpoint_path: A file, a remote address (``s3://...``, ``https://...``), a run folder, which stands for
                its best checkpoint, or a file object.
            map_location: Device, see :func:`torch.load`; by default the one saved from if there is such, or the CPU.
            strict: Whether the keys of the weights have to match exactly; true by default.
            weights_only: As in Lightning, but never false: that would let the file run code.
            **kwargs: Constructor arguments that replace saved ones, and those that could not be saved (instances).

        Returns:
            The task.

        Raises:
            ArgumentError: If ``weights_only`` is false, or there is no such device.
            CheckpointError: If the file does not hold this task, or an instance has to be passed.
        """
        checkpoint = read_task(checkpoint_path, map_location, weights_only)
        return restore(cls, checkpoint, name_of(checkpoint_path), strict, **kwargs)


# A lambda, whose class and arguments the command line reads from its source, and which no instance keeps, for pickle.
_DEFAULT_OPTIMIZER: OptimizerCallable = inspect.signature(Task).parameters["optimizer"].default
