"""Destinations of the pictures of a run: the run folder, TensorBoard, Weights & Biases."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.trainer.states import TrainerFn

from visiontasks.visualization import Picture, save_picture, to_pillow


def run_folder(trainer: Trainer) -> Path | None:
    """Find the folder of a run; None without a logger that has one. All processes have to ask."""
    # The folder of Weights & Biases is common to all its runs.
    if not trainer.loggers or isinstance(trainer.loggers[0], WandbLogger):
        return None
    return Path(trainer.log_dir) if trainer.log_dir else None


def validation_name(trainer: Trainer) -> str:
    """Name the files of a validation by its epoch, and by the step if epochs do not have exactly one validation."""
    name = f"val_epoch_{trainer.current_epoch}"
    once = trainer.val_check_batch in (float("inf"), trainer.num_training_batches)
    fitting = trainer.state.fn == TrainerFn.FITTING
    return name if once or not fitting else f"{name}_step_{trainer.global_step}"


def loader_suffix(index: int) -> str:
    """Return what is added to the names of files about a loader other than the first; Lightning names metrics so."""
    return f"_dataloader_idx_{index}" if index else ""


class EvaluationPictures(Callback):
    """Shows pictures of every validation and test, except the sanity check.

    They are saved in the run folder as PNG and sent to the loggers that accept pictures. A subclass implements
    :meth:`look`, or :meth:`finish`, or both. Several loaders are so many evaluations, one after another; the names of
    all but the first end with ``dataloader_idx_N``.

    Attributes:
        title: Name of the folder of the pictures.
    """

    title: ClassVar[str]

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._loader = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the run folder."""
        folder = run_folder(trainer)
        self._folder = None if folder is None else folder / self.title

    def shows(self, trainer: Trainer) -> bool:
        """Return whether there is any destination for pictures."""
        return trainer.is_global_zero and (self._folder is not None or bool(trainer.loggers))

    def show(
        self, trainer: Trainer, tag: str, name: str, picture: Picture, native: Callable[[], Any] = lambda: None
    ) -> None:
        """Show a picture.

        Args:
            trainer: The Trainer of the run.
            tag: Name of the picture in loggers, such as ``"val/predictions"``.
            name: Name of the file, without suffix.
            picture: The picture.
            native: Creates what to send to Weights & Biases instead, if there is such a logger: a ``wandb.Image``, a
                list of them, a table or a chart; None to send the picture.
        """
        name += loader_suffix(self._loader)
        tag += f"/dataloader_idx_{self._loader}" if self._loader else ""
        if self._folder is not None:
            save_picture(picture, self._folder / f"{name}.png")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(tag, picture, trainer.global_step)
            elif isinstance(logger, WandbLogger):
                import wandb

                shown: Any = native()
                shown = wandb.Image(to_pillow(picture)) if shown is None else shown
                logger.log_metrics({tag: shown}, trainer.global_step)

    def begin(self) -> None:
        """Discard the state of an earlier evaluation."""

    def look(
        self, trainer: Trainer, task: Any, predictions: Any, batch: Any, index: int, stage: str, name: str
    ) -> None:
        """Process a batch that has images.

        Args:
            trainer: The Trainer of the run.
            task: The task.
            predictions: The predictions that its step returned.
            batch: The batch, as returned by :meth:`~visiontasks.tasks.base.Task.as_batch`.
            index: Index of the batch in its loader.
            stage: ``"val"`` or ``"test"``.
            name: Name of the evaluation, for files: ``"val_epoch_N"`` or ``"test"``.
        """

    def finish(self, trainer: Trainer, task: Any, stage: str, name: str) -> None:
        """Finish an evaluation; the task computes and resets its metrics after this.

        Args:
            trainer: The Trainer of the run.
            task: The task.
            stage: As in :meth:`look`.
            name: As in :meth:`look`.
        """

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start an evaluation."""
        self._loader = 0
        self.begin()

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start an evaluation."""
        self._loader = 0
        self.begin()

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Start the evaluation of the next loader."""
        if dataloader_idx != self._loader:
            self.on_validation_epoch_end(trainer, pl_module)
            self._loader = dataloader_idx
            self.begin()

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Start the evaluation of the next loader."""
        if dataloader_idx != self._loader:
            self.on_test_epoch_end(trainer, pl_module)
            self._loader = dataloader_idx
            self.begin()

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Process a batch."""
        if not trainer.sanity_checking and outputs is not None:
            name = validation_name(trainer)
            self.look(trainer, pl_module, outputs, pl_module.as_batch(batch), batch_idx, "val", name)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Process a batch."""
        if outputs is not None:
            self.look(trainer, pl_module, outputs, pl_module.as_batch(batch), batch_idx, "test", "test")

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Finish a validation."""
        if not trainer.sanity_checking:
            self.finish(trainer, pl_module, "val", validation_name(trainer))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Finish a test."""
        self.finish(trainer, pl_module, "test", "test")
