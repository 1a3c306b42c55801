"""Summary of a run in a few lines at its end."""

import math
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn

from visiontasks.callbacks.best_checkpoint import BestCheckpoint
from visiontasks.callbacks.saving import LastCheckpoint
from visiontasks.cli.glossary import explain
from visiontasks.cli.length import counted
from visiontasks.cli.start import describe_figures, will_validate
from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.vision_data import VisionData
from visiontasks.import_paths import import_path
from visiontasks.report.tables import by_class, by_loader
from visiontasks.tasks.task import Task

MOST_CLASSES = 25
"""Maximum number of classes that are listed."""
_FILES = ("metrics.csv", "config.yaml", "test.png", "report.html")
_FOLDERS = {
    "checkpoints": "weights to use, and to go on from",
    "codes": "pictures of the codes",
    "confusion": "which classes are taken for which",
    "filters": "pictures of the first filters",
    "per_class": "tables with the figures of each class",
    "predictions": "images with what the network says of them",
    "reliability": "how far scores can be relied on",
    "worst": "the images with the worst predictions",
}


class PrintedFigures(Callback):
    """Prints the metrics of an evaluation as soon as they are known; as the first callback, before others write.

    Attributes:
        began: The epoch that a training began with, from 0 on; None before.
        validated: The epoch of the newest validation of a training, also before it was interrupted; -1 before.
    """

    def __init__(self) -> None:
        self.began: int | None = None
        self.validated = -1

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch of the newest validation."""
        return {"validated": self.validated}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the epoch of the newest validation."""
        self.validated = state_dict["validated"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note with which epoch the training begins, and say what will be printed of each."""
        epochs: Any = trainer.fit_loop.epoch_progress.current
        self.began = epochs.processed
        if trainer.progress_bar_callback is not None and trainer.is_global_zero:
            print(describe_figures(cast("Task", pl_module), validated=will_validate(trainer)), flush=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the metrics; of a validation of a training, note the epoch."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            print_figures(trainer)
        elif not trainer.sanity_checking:
            self.validated = trainer.current_epoch

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the metrics."""
        print_figures(trainer)


def print_figures(trainer: Trainer) -> None:
    """Print a table of the final metrics: after a training those of the best checkpoint, and of the last epoch."""
    if not trainer.is_global_zero:
        return
    values = {name: value.item() for name, value in trainer.callback_metrics.items() if "/" in name}
    columns, best = {"": values}, trainer.checkpoint_callback
    stage = "test" if trainer.state.fn == TrainerFn.TESTING else "val"
    if trainer.state.fn == TrainerFn.FITTING:
        last = f"last epoch ({trainer.current_epoch - 1})"
        if _noted(trainer).validated != trainer.current_epoch - 1:
            # They are those of an earlier epoch.
            values = {name: value for name, value in values.items() if not name.startswith("val/")}
        columns = {last: values}
        if isinstance(best, BestCheckpoint) and best.figures:
            figures = {name: value for name, value in best.figures.items() if "/" in name}
            columns = {f"best epoch ({best.epoch})": figures, last: values}
            if best.epoch == trainer.current_epoch - 1:
                columns = {f"best and last epoch ({best.epoch})": figures}
    print()
    _print_table(columns, lambda name: (name.partition("/")[0] != "train", name), _of_epoch)
    shown = next(iter(columns.values()))
    classes = by_class(by_loader({name: shown[name] for name in shown if name.startswith(f"{stage}/")}).get(0, {}))
    if classes and max(map(len, classes.values())) <= MOST_CLASSES:
        print()
        _print_table({f"{stage}/{name}": column for name, column in classes.items()})
    told = explain(name for name in shown if _of_epoch(name)) or ""
    if len(columns) > 1 and isinstance(best, BestCheckpoint):
        rule = "highest" if best.mode == "max" else "lowest"
        told = f"Epochs count from 0; the best is that with the {rule} {best.monitor}. {told}".rstrip()
    if told:
        print(f"\n{told}")
    print(flush=True)


def _noted(trainer: Trainer) -> PrintedFigures:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set out of mypy's sight
    return next((one for one in callbacks if isinstance(one, PrintedFigures)), PrintedFigures())


def _of_epoch(name: str) -> bool:
    """Whether a metric is neither of a single batch nor of a single class nor a second time of the first loader."""
    name, _, loader = name.partition("/dataloader_idx_")
    return name.count("/") == 1 and loader != "0" and not name.endswith("_step")


def _print_table(
    columns: Mapping[str, Mapping[str, float]],
    order: Callable[[str], Any] | None = None,
    shown: Callable[[str], bool] = lambda name: True,
) -> None:
    names = [name for name in dict.fromkeys(name for values in columns.values() for name in values) if shown(name)]
    if order is not None:
        names.sort(key=order)
    width = max(map(len, names), default=0)
    widths = [max(8, len(heading)) for heading in columns]
    if any(columns):
        print(
            " " * (width + 2), *(f"{heading:>{size}}" for heading, size in zip(columns, widths, strict=True)), sep="  "
        )
    for name in names:
        cells = (_number(values.get(name, math.nan)) for values in columns.values())
        print(f"  {name:<{width}}", *(f"{cell:>{size}}" for cell, size in zip(cells, widths, strict=True)), sep="  ")


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e6 else f"{value:.2e}"


def print_summary(trainer: Trainer, seconds: float | None = None) -> None:
    """Print the metrics of a training, unless a test has printed its own, and the location of the run's files.

    Args:
        trainer: The Trainer after its run.
        seconds: How long training took, without what was trained before it was interrupted.
    """
    if trainer.state.fn == TrainerFn.FITTING:
        print_figures(trainer)
    # All processes have to ask for the folder.
    folder = trainer.log_dir
    if not trainer.is_global_zero:
        return
    if seconds is not None:
        began, epochs = _noted(trainer).began, trainer.current_epoch
        now = 0 if began is None else epochs - began
        in_all = "" if now == epochs else f", {counted(epochs, 'epoch')} in all"
        print(f"Trained {counted(now, 'epoch')} in {seconds:.0f} s{in_all}.")
    if folder is None or not Path(folder).is_dir():
        return
    print(f"Run folder: {folder}")
    _print_files(Path(folder), trained=seconds is not None)
    checkpoint = _print_checkpoint(trainer)
    if checkpoint is None or seconds is None:
        return
    file, own = shlex.quote(str(checkpoint)), _own_class(trainer.lightning_module)
    print(f"To use it: visiontasks predict {file} IMAGES_OR_FOLDER{own and f' --task {own}'}")
    if trainer.state.fn == TrainerFn.FITTING:
        if _has_test_images(trainer):
            print(f"To score it on the test images: visiontasks test --ckpt_path {file}{own and f' --model {own}'}")
        if (Path(folder) / "config.yaml").is_file():
            print(f"To make the page of the run, report.html: visiontasks report {shlex.quote(folder)}")


def _print_files(folder: Path, *, trained: bool) -> None:
    """Print the files that tell about the run; after a training also the folders of which every epoch adds some."""
    for path in sorted(folder.rglob("*")):
        if path.name in _FILES:
            print(f"  {path.relative_to(folder)}")
        elif trained and path.parent == folder and path.is_dir() and path.name in _FOLDERS:
            print(f"  {f'{path.name}/':<13} {_FOLDERS[path.name]}")


def _print_checkpoint(trainer: Trainer) -> Path | None:
    """Print where the best checkpoint is, or the last one if there is no best one; return it."""
    best = trainer.checkpoint_callback
    if isinstance(best, ModelCheckpoint) and best.best_model_path:
        path = _short(Path(best.best_model_path))
        print(f"Best checkpoint: {path}")
        return path
    files = [one.file for one in trainer.checkpoint_callbacks if isinstance(one, LastCheckpoint) and one.file]
    if not files or not files[0].is_file():
        return None
    path = _short(files[0])
    why = " (no validation was run, so there is no best one)" if _noted(trainer).validated < 0 else ""
    print(f"Last checkpoint: {path}{why}")
    return path


def _own_class(task: object) -> str:
    """Name the class of a task that is not of this library; of a script there is no name that a command finds."""
    path = import_path(type(task))
    return "" if path.partition(".")[0] in ("visiontasks", "__main__") else path


def _has_test_images(trainer: Trainer) -> bool:
    data: Any = getattr(trainer, "datamodule", None)
    return data.splits.origin("test") != "val" if isinstance(data, FileData) else isinstance(data, VisionData)


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
