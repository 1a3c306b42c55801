"""Summary of a run in a few lines at its end."""

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn


class PrintedFigures(Callback):
    """Prints the metrics of an evaluation as soon as they are known; as the first callback, before others write."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the metrics, unless it is a validation of a training."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            print_figures(trainer)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the metrics."""
        print_figures(trainer)


def print_figures(trainer: Trainer) -> None:
    """Print a table of the final metrics."""
    if not trainer.is_global_zero:
        return
    values = {name: value.item() for name, value in trainer.callback_metrics.items() if "/" in name}
    width = max(map(len, values), default=0)
    print()
    for name in sorted(values, key=lambda name: (name.partition("/")[0] != "train", name)):
        print(f"  {name:<{width}}  {values[name]:>8.4f}")
    print(flush=True)


def print_summary(trainer: Trainer, seconds: float | None = None) -> None:
    """Print the metrics of a training, unless a test has printed its own, and the location of the run's files.

    Args:
        trainer: The Trainer after its run.
        seconds: How long training took.
    """
    if trainer.state.fn == TrainerFn.FITTING:
        print_figures(trainer)
    # All processes have to ask for the folder.
    folder = trainer.log_dir
    if not trainer.is_global_zero:
        return
    if seconds is not None:
        print(f"Trained {trainer.current_epoch} epochs in {seconds:.0f} s.")
    if folder is None or not Path(folder).is_dir():
        return
    print(f"Run folder: {folder}")
    for path in sorted(Path(folder).rglob("*.*")):
        if path.name in ("metrics.csv", "config.yaml", "test.png", "report.html"):
            print(f"  {path.relative_to(folder)}")
    checkpoint = trainer.checkpoint_callback
    if isinstance(checkpoint, ModelCheckpoint) and checkpoint.best_model_path:
        print(f"Best checkpoint: {_short(Path(checkpoint.best_model_path))}")


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
