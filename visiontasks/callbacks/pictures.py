"""Destinations of the pictures of a run: the run folder, TensorBoard, Weights & Biases."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.trainer.states import TrainerFn

from visiontasks.callbacks.evaluation_files import KEPT, EvaluationFiles, Keep
from visiontasks.files import OptionalFiles
from visiontasks.visualization import Picture, encode_picture, to_pillow


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


class _Shown(NamedTuple):
    tag: str
    picture: Picture
    native: Callable[[], Any]


class EvaluationPictures(Callback):
    """Shows pictures of every validation and test, except the sanity check, once its metrics are known.

    They are saved in the run folder as PNG and sent to the loggers that accept pictures. If that fails, as on a full
    disk, there is a warning and the run goes on. A subclass implements :meth:`look`, or :meth:`finish`, or both.
    Several loaders are so many evaluations, one after another; the names of all but the first end with
    ``dataloader_idx_N``.

    Args:
        keep: How many validations of a training keep their pictures, besides the newest and the best; ``"all"`` for
            all of them.

    Attributes:
        title: Name of the folder of the pictures.

    Raises:
        ArgumentError: If the number is negative.
    """

    title: ClassVar[str]

    def __init__(self, keep: Keep = KEPT) -> None:
        self._files = EvaluationFiles(self.title, f"pictures of {self.title}", keep)
        self._sent = OptionalFiles(f"pictures of {self.title} for the loggers")
        self._shown: dict[str, _Shown] = {}
        self._loader = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the run folder; all processes have to ask the Trainer for it."""
        self._files.begin(run_folder(trainer))

    def shows(self, trainer: Trainer) -> bool:
        """Return whether there is any destination for pictures."""
        return trainer.is_global_zero and (self._files.folder is not None or bool(trainer.loggers))

    def show(self, tag: str, name: str, picture: Picture, native: Callable[[], Any] = lambda: None) -> None:
        """Show a picture at the end of the evaluation.

        Args:
            tag: Name of the picture in loggers, such as ``"val/predictions"``.
            name: Name of the file, without suffix.
            picture: The picture.
            native: Creates what to send to Weights & Biases instead, if there is such a logger: a ``wandb.Image``, a
                list of them, a table or a chart; None to send the picture.
        """
        name += loader_suffix(self._loader)
        tag += f"/dataloader_idx_{self._loader}" if self._loader else ""
        self._shown[name] = _Shown(tag, picture, native)

    def _deliver(self, trainer: Trainer, task: Any) -> None:
        shown, self._shown = self._shown, {}
        pictures = {f"{name}.png": encode_picture(to_pillow(one.picture), ".png") for name, one in shown.items()}
        self._files.write(trainer, task, pictures)
        with self._sent.in_folder(self._files.folder):
            for one in shown.values():
                _send(trainer, one)

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
            batch: The batch, as returned by :meth:`~visiontasks.tasks.task.Task.as_batch`.
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
        self._shown = {}
        self.begin()

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start an evaluation."""
        self._loader = 0
        self._shown = {}
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

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the pictures of a validation."""
        self._deliver(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the pictures of a test."""
        self._deliver(trainer, pl_module)


def _send(trainer: Trainer, shown: _Shown) -> None:
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(shown.tag, shown.picture, trainer.global_step)
        elif isinstance(logger, WandbLogger):
            import wandb

            value: Any = shown.native()
            value = wandb.Image(to_pillow(shown.picture)) if value is None else value
            logger.log_metrics({shown.tag: value}, trainer.global_step)
