"""What a task does before a run: it checks the data, and adopts what a checkpoint has to record of them."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_warn

from visiontasks.description import DataDescription
from visiontasks.errors import ArgumentError
from visiontasks.tasks.agreement import check_labels, check_precision
from visiontasks.tasks.checkpoint_io import use_safe_io
from visiontasks.tasks.normalization import MEASURED, check_values
from visiontasks.tasks.owned import OwnedCallback, without_owned
from visiontasks.tasks.record import replace_hyperparameters
from visiontasks.tasks.traps import check_length, check_monitors, check_start, check_unfreezing
from visiontasks.tasks.views import SeenImages, describe_size

if TYPE_CHECKING:
    import visiontasks.tasks.task
    from visiontasks.tasks.task import Task


class Preparation(OwnedCallback):
    """Prepares a task for a run: precision, checkpoint files, data and their statistics.

    Attributes:
        seen: Sizes of the images in the batches of the last fit, if nothing else says how they are resized.
        root: Folder of the data of the last fit, by which they are known again; None if there is none.
    """

    def __init__(self) -> None:
        self.seen = SeenImages()
        self.root: str | None = None
        self._watches = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Adopt the properties of the data that the checkpoint has to record, and set up safe checkpoint files.

        Raises:
            ArgumentError: If the data or the precision do not fit the task.
        """
        if self not in getattr(pl_module, "owned_callbacks", ()):
            # A task that the Trainer ran before has left them.
            trainer.callbacks = without_owned(trainer.callbacks)  # type: ignore[attr-defined]  # set out of mypy's sight
            return
        task = cast("Task", pl_module)
        if "boxes" in task.batch_type._fields:
            check_precision(trainer.precision)
        # What is not finite before the training is meant to be so, such as masks of -inf.
        unchecked = [name for name, buffer in task.named_buffers() if not buffer.isfinite().all()]
        use_safe_io(trainer.strategy, unchecked, going_on=stage == "fit")
        data: Any = getattr(trainer, "datamodule", None)
        described = isinstance(data, DataDescription)
        if described:
            task.check_data(data)
        if stage == "fit":
            # Lightning's BackboneFinetuning leaves batch norm trainable.
            task._parts.unfreezing.freeze_backbone(task)
            if described:
                _adopt(task, data)
            root = getattr(data, "root", None)
            self.root = str(Path(root).resolve()) if isinstance(root, str | Path) else None
            self.seen = SeenImages()
            known = (described and data.view is not None) or task.image_size is not None or task.any_size
            self._watches = not known
            task.normalize.check_measured()
            task.measure(data)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look for what lets a training go wrong in silence."""
        check_start(trainer, cast("Task", pl_module))

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the names of what callbacks watch.

        Raises:
            ArgumentError: If there is nothing of such a name.
        """
        check_monitors(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Warn if the training is too short."""
        check_length(trainer, cast("Task", pl_module))
        check_unfreezing(trainer)

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,  # noqa: ANN401 (as in Lightning)
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Check the values of the images and the labels of the first batch; of others, labels that are on the CPU."""
        task = cast("Task", pl_module)
        if not task.takes or (batch_idx and ("labels" not in task.batch_type._fields or task.device.type != "cpu")):
            return
        # A forward or a loss of one's own may take other values, and a step of one's own other batches.
        with suppress(ArgumentError):
            batch = task.as_batch(batch)
        if batch_idx == 0 and _is_ours(type(task).forward) and hasattr(batch, "images"):
            check_values(batch.images)
        if _is_ours(type(task).losses):
            check_labels(task, batch)

    on_validation_batch_start = on_test_batch_start = on_train_batch_start

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401 (as in Lightning)
        batch: Any,  # noqa: ANN401 (as in Lightning)
        batch_idx: int,
    ) -> None:
        """Note the size of the images of a training batch, if it is needed."""
        self._see(cast("Task", pl_module), batch, "train")

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401 (as in Lightning)
        batch: Any,  # noqa: ANN401 (as in Lightning)
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note the size of the images of a validation batch in a fit, if it is needed."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._see(cast("Task", pl_module), batch, "val")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that statistics were measured, and warn if images have another size than in training."""
        task = cast("Task", pl_module)
        task.normalize.check_measured()
        data: Any = getattr(trainer, "datamodule", None)
        if trainer.state.fn == TrainerFn.FITTING or getattr(data, "eval_size", None):  # which asks for another size
            return
        # The size in the checkpoint: the task's own may come from the present data.
        size, trained = describe_size(data), describe_size(SimpleNamespace(**task._record))
        if size and trained and size != trained:
            rank_zero_warn(
                f"The images are {size}, the task was trained on {trained}. Results at another size are usually worse: "
                "leave the size of the images out, and it is that of the training."
            )

    on_test_start = on_validation_start

    def _see(self, task: "visiontasks.tasks.task.Task", batch: Any, stage: Literal["train", "val"]) -> None:  # noqa: ANN401 (as in Lightning)
        if self._watches:
            # A step of one's own may take other batches.
            with suppress(ArgumentError):
                self.seen.note(task.as_batch(batch), stage)


def _is_ours(method: Callable[..., Any]) -> bool:
    return method.__module__.startswith("visiontasks.")


def _adopt(task: "visiontasks.tasks.task.Task", data: DataDescription) -> None:
    task.image_size = data.image_size or task.image_size
    # If a data module saves its hyperparameters, Lightning compares them with the task's.
    replace_hyperparameters(task, image_size=task.image_size)
    task.view = data.view
    if task.normalize.mode in MEASURED and not task.normalize.measured:
        task.normalize.set_statistics(data.statistics())
