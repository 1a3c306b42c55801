"""The report of a run: one HTML page at the end of a test."""

from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix

from visiontasks.callbacks.kinds import class_pairs, kind_of
from visiontasks.callbacks.pictures import run_folder
from visiontasks.callbacks.samples import SampleGalleries
from visiontasks.errors import ArgumentError, DataError
from visiontasks.files import OptionalFiles, write_atomically
from visiontasks.metrics.confusion import ConfusionMatrix
from visiontasks.metrics.detection_confusion import count_confusion
from visiontasks.metrics.detection_records import DetectionMetric
from visiontasks.metrics.empty_states import fill_empty_states
from visiontasks.metrics.sample_quality import SCORE
from visiontasks.metrics.threshold_counts import DecisionCounts, ThresholdCounts, detection_counts
from visiontasks.report import Confusion, Environment, History, Report, Thresholds, page, read_environment, read_history
from visiontasks.report.tables import by_loader

_MOST_CLASSES = 1000
"""Maximum number of classes for which confusions are counted."""


class RunReport(Callback):
    """Writes ``report.html`` at the end of a test: a single self-contained page.

    At the start of training it saves the command and the versions in the run folder, as ``environment.json``.

    The page shows the model and the data, the training curves, the metrics, a table of the classes, the confusion
    matrix, precision and recall by score threshold, samples, and how to repeat the run. The curves and the
    configuration are taken from the run folder that contains the checkpoint. The page is written into the run folder of
    the test; with several processes, the samples are from the first one. Of several test loaders all metrics are
    listed; classes, confusions, thresholds and samples are those of the first one.

    It uses the predictions that the test computed. On the command line it is always added; ``--report false`` turns it
    off, and a callback of your own replaces it.

    Args:
        count: Number of samples of each kind (best, worst and random), 0 to 50.
        folder: Run folder to read from and write to, if it differs from those of the checkpoint and the test.
        command: The command line of this process; by default that with which Python was started.

    Raises:
        ArgumentError: If the count is out of range.
    """

    def __init__(self, count: int = 8, folder: str | Path | None = None, command: str | None = None) -> None:
        if not 0 <= count <= 50:
            message = f"count is {count}; expected 0 to 50 samples of each kind: the page is to stay below 10 MB."
            raise ArgumentError(message)
        self.count = count
        self.folder = None if folder is None else Path(folder)
        self.command = command
        self.file: Path | None = None
        self._environment = OptionalFiles("command and versions of the run")
        self._page = OptionalFiles("reports")
        self._galleries = SampleGalleries(max(count, 1))
        self._counted: list[Metric] = []
        self._confusion: Confusion | None = None
        self._thresholds: Thresholds | None = None
        self._gathered = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the run folder; all processes have to ask the Trainer for it."""
        run = run_folder(trainer)
        target = self.folder or run
        self.file = None if target is None else target / "report.html"

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the command and the versions of the training in the run folder, in ``environment.json``."""
        if self.file is not None and trainer.is_global_zero:
            with self._environment.in_folder(self.file.parent):
                data = getattr(trainer, "datamodule", None)
                Environment.of_now(self.command, pl_module, data).write(self.file.parent)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prepare to collect predictions."""
        task: Any = pl_module
        self._galleries = SampleGalleries(max(self.count, 1))
        self._counted = []
        self._confusion = self._thresholds = None
        self._gathered = False
        if self.file is None:
            return
        # All processes have them, whether they get images or not.
        self._counted = [metric.to(task.device) for metric in _counters(task)]

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Process the predictions of a batch."""
        if self.file is None or outputs is None or dataloader_idx:
            return
        batch = pl_module.as_batch(batch)
        if self.count and trainer.is_global_zero:
            self._galleries.offer(kind_of(pl_module, outputs, batch), outputs, batch)
        pairs, probabilities = class_pairs(outputs, batch), getattr(outputs, "probabilities", None)
        for metric in self._counted:
            if isinstance(metric, MulticlassConfusionMatrix):
                if pairs is not None:
                    metric.update(*reversed(pairs))
            elif pairs is not None and probabilities is not None:
                metric.update(probabilities[:, 1:], batch.labels[:, None])
            elif probabilities is not None:
                metric.update(probabilities, batch.labels)

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Gather the counts of the first loader before the next one."""
        if dataloader_idx:
            self.on_test_epoch_end(trainer, pl_module)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gather the counts of all processes; the task resets its metrics after this."""
        task: Any = pl_module
        if self.file is None or self._gathered:
            return
        self._gathered = True
        names = task.display_names
        for metric in self._counted:
            with metric.sync_context():
                self._look_at_classes(task, metric, names)
        for metric in task.scores.test_metrics.values():
            if isinstance(metric, ConfusionMatrix) and self._confusion is None:
                with metric.sync_context():
                    self._confusion = Confusion("pixels", metric.counts.tolist(), names)
            elif isinstance(metric, DetectionMetric) and self._thresholds is None:
                fill_empty_states([metric])
                with metric.sync_context():
                    self._look_at_detections(metric, names)

    def _look_at_classes(self, task: Any, counted: Metric, names: list[str]) -> None:
        if isinstance(counted, MulticlassConfusionMatrix) and counted.confmat.any():
            self._confusion = Confusion("images", counted.confmat.tolist(), names)
        elif isinstance(counted, DecisionCounts) and counted.counts.any():
            counted_names = names[1:] if counted.counts.shape[1] == 1 else names
            note = "An image has the class from this probability on; the metrics above are at the task's own threshold."
            self._thresholds = _thresholds("images", counted_names, counted.totals(), note, _first_threshold(task))

    def _look_at_detections(self, metric: DetectionMetric, names: list[str]) -> None:
        records = metric.records()
        _, objects, detections = records
        note = "A detection of its class finds an object at IoU 0.5, matched as by COCO in descending order of score."
        self._thresholds = _thresholds("objects", names, detection_counts(detections, objects, len(names)), note)
        if len(names) <= _MOST_CLASSES:
            counts = count_confusion(records, len(names), score=SCORE)
            about = f"Detections from score {SCORE} on, matched at IoU 0.5 whatever their class."
            self._confusion = Confusion("objects", counts.tolist(), [*names, "background"], about)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the page."""
        if self.file is None or not trainer.is_global_zero:
            return
        with self._page.in_folder(self.file.parent):
            write_atomically(self.file, page(self._report(trainer, pl_module)))

    def _report(self, trainer: Trainer, task: Any) -> Report:
        assert self.file is not None
        data: Any = getattr(trainer, "datamodule", None)
        source = self._training_folder(trainer)
        try:
            history = read_history(source / "metrics.csv")
        except DataError as error:
            rank_zero_warn(f"The report has no curves: {error}")
            history = {}
        configuration = source / "config.yaml"
        trained, tested = read_environment(source), Environment.of_now(self.command, task, data)
        names = task.display_names
        index = getattr(getattr(data, "test_set", None), "index", None)

        def name_of(identifier: int) -> str:
            return f"image {identifier}" if index is None else Path(str(index.files[identifier])).name

        title = type(task).__name__ + (f" on {type(data).__name__}" if data is not None else "")
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
        quality = [f"Best and worst by {self._galleries.quality}."] if self._galleries.quality else []
        if len(by_loader(metrics)) > 1:
            quality.append("Of the first loader, as the classes, confusions and thresholds above.")
        if trainer.world_size > 1:
            quality.append(f"Of the share of the test that the first of {trainer.world_size} processes saw.")
        return Report(
            title=title,
            facts=_facts(trainer, task, data, history, (trained.images if trained else {}) | tested.images),
            metrics=metrics,
            monitor=task.monitor.partition("/")[2],
            class_names=names,
            history=history,
            confusion=self._confusion,
            thresholds=self._thresholds,
            galleries=self._galleries.draw(names, name_of) if self.count else [],
            quality=" ".join(quality),
            trained=trained,
            tested=tested,
            configuration=configuration.read_text(encoding="utf-8")
            if configuration.is_file()
            else yaml.safe_dump(dict(task.hparams), sort_keys=False),
        )

    def _training_folder(self, trainer: Trainer) -> Path:
        """Find the run folder of the training: the one that contains the checkpoint, otherwise that of the test."""
        assert self.file is not None
        # A run folder may stand for its checkpoint.
        tested = [] if trainer.ckpt_path is None else [Path(trainer.ckpt_path)]
        around = [folder for path in tested for folder in (path.parent.parent, path.parent, path)]
        folders = [folder for folder in (self.folder, *around, self.file.parent) if folder is not None]
        return next((folder for folder in folders if (folder / "metrics.csv").is_file()), folders[0])


def _counters(task: Any) -> list[Metric]:
    """Choose the counters used in addition to the task's metrics."""
    mode, classes = getattr(task, "mode", "multiclass"), task.num_classes
    if classes is None or classes > _MOST_CLASSES:
        return []
    if mode == "multilabel":
        return [DecisionCounts(classes)]
    confusion = MulticlassConfusionMatrix(max(classes, 2), ignore_index=-1, validate_args=False)
    return [confusion, DecisionCounts(1)] if mode == "binary" else [confusion]


def _first_threshold(task: Any) -> int:
    """Return the task's own threshold, in hundredths; 50 if there are several or none."""
    decision = getattr(task, "decision", None)
    thresholds = torch.empty(0) if decision is None else decision.thresholds.unique()
    return round(100 * thresholds.clamp(0, 1).item()) if len(thresholds) == 1 else 50


def _thresholds(unit: str, names: list[str], counts: ThresholdCounts, note: str, start: int = 50) -> Thresholds:
    return Thresholds(unit, names, counts.right.tolist(), counts.wrong.tolist(), counts.wanted.tolist(), note, start)


def _facts(trainer: Trainer, task: Any, data: Any, history: History, images: dict[str, int]) -> dict[str, str]:
    parameters = list(task.parameters())
    trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    backbone = task.hparams.get("backbone")
    facts = {
        "Task": type(task).__name__ + (f", {task.mode}" if hasattr(task, "mode") else ""),
        "Backbone": backbone if isinstance(backbone, str) else type(task.backbone).__name__,
        "Parameters": f"{sum(map(Tensor.numel, parameters)):,}, of which {trained:,} are trained",
        "Checkpoint": str(trainer.ckpt_path or "the weights as they are"),
        "Epochs trained": f"{max((x for points in history.get('loss', {}).values() for x, _ in points), default=0):g}",
    }
    if data is not None:
        facts["Data"] = type(data).__name__ + (f", {data.root}" if getattr(data, "root", None) is not None else "")
        facts["Images"] = ", ".join(f"{count:,} {name}" for name, count in images.items())
        size = getattr(data, "image_size", None)
        facts["Image size"] = f"{size[0]} x {size[1]}" if size else "varies"
    names = task.display_names
    facts["Classes"] = f"{len(names)}: {', '.join(names[:30])}{', …' if len(names) > 30 else ''}"
    device = torch.cuda.get_device_name() if task.device.type == "cuda" else task.device.type.upper()
    facts["Tested on"] = f"{trainer.world_size} x {device}, precision {trainer.precision}"
    return facts
