"""Tables of the metrics of each class."""

import csv
import io
import math
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from visiontasks.callbacks.evaluation_files import KEPT, EvaluationFiles, Keep
from visiontasks.callbacks.pictures import loader_suffix, run_folder, validation_name
from visiontasks.files import OptionalFiles
from visiontasks.report.tables import by_class, by_loader


class PerClassTable(Callback):
    """Writes a table after every validation and test, with a row for each class and a column for each metric.

    The tables are ``per_class/val_epoch_N.csv`` and ``per_class/test.csv`` in the run folder; Weights & Biases gets a
    table. They contain the metrics logged as ``STAGE/METRIC/CLASS``; without such metrics there is no table. Missing
    values are left empty. Of several loaders each has a table; the names of all but the first end with
    ``dataloader_idx_N``.

    Args:
        keep: How many validations of a training keep their tables, besides the newest and the best; ``"all"`` for
            all of them.
    """

    def __init__(self, keep: Keep = KEPT) -> None:
        self._files = EvaluationFiles("per_class", "tables of the classes", keep)
        self._sent = OptionalFiles("tables of the classes for the loggers")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the run folder; all processes have to ask the Trainer for it."""
        self._files.begin(run_folder(trainer))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the table of a validation."""
        if not trainer.sanity_checking:
            self._write(trainer, pl_module, "val", validation_name(trainer))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the table of a test."""
        self._write(trainer, pl_module, "test", "test")

    def _write(self, trainer: Trainer, task: Any, stage: str, name: str) -> None:
        if not trainer.is_global_zero:
            return
        logged = {full: value.item() for full, value in trainer.callback_metrics.items()}
        scores = {full: value for full, value in logged.items() if full.startswith(f"{stage}/")}
        for index, values in by_loader(scores).items():
            columns = by_class(values)
            if columns:
                tag = f"{stage}/per_class" + (f"/dataloader_idx_{index}" if index else "")
                self._write_table(trainer, task, columns, tag, name + loader_suffix(index))

    def _write_table(
        self, trainer: Trainer, task: Any, columns: dict[str, dict[str, float]], tag: str, name: str
    ) -> None:
        header = ["class", *columns]
        labels = dict.fromkeys(label for column in columns.values() for label in column)
        rows = {label: [column.get(label, math.nan) for column in columns.values()] for label in labels}
        stream = io.StringIO()
        writer = csv.writer(stream)
        writer.writerow(header)
        for label, values in rows.items():
            writer.writerow([label, *("" if math.isnan(value) else f"{value:.6g}" for value in values)])
        self._files.write(trainer, task, {f"{name}.csv": stream.getvalue()})
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                import wandb

                with self._sent.in_folder(self._files.folder):
                    table: Any = wandb.Table(columns=list(header), data=[[label, *row] for label, row in rows.items()])
                    logger.log_metrics({tag: table}, trainer.global_step)
