"""A user's script, to be run by one process or two: evaluates sets of several sizes, and trains.

Usage: ``python training_script.py DEVICES FOLDER [--break | --skip]``. Each process leaves what it found in the folder,
and reads the images of ``pictures`` and ``scenes`` beside it. With ``--break`` it only trains, and the loss of the last
process becomes infinite in the second step; with ``--skip`` that batch may be skipped. SIGUSR2 shows where it is.
"""

import faulthandler
import json
import signal
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BackboneFinetuning, BasePredictionWriter
from torch.nn.functional import one_hot
from torch.optim import SGD
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAUROC

from visiontasks import (
    AutoencodingTask,
    ClassificationBatch,
    ClassificationTask,
    COCODataModule,
    DetectionTask,
    FolderDataModule,
    LocalizationTask,
    ShapesDataModule,
)
from visiontasks.backbones.backbone import Freeze
from visiontasks.callbacks import DetectionResults
from visiontasks.data.datasets.shapes import CLASS_NAMES

CASES = [(images, batch_size) for images in (1, 2, 5, 7) for batch_size in (1, 3)]


def make_trainer(devices: int, folder: Path, callbacks: list[Callback] | None = None) -> Trainer:
    return Trainer(
        callbacks=callbacks,
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )


class SeenImages(Callback):
    """Notes the images that this process validates on."""

    def __init__(self) -> None:
        self.ids: list[int] = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401 - as Lightning has it
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.ids += batch.ids.tolist()


def evaluate(devices: int, folder: Path) -> tuple[dict[str, Any], dict[str, list[int]]]:
    seen = SeenImages()
    trainer = make_trainer(devices, folder, [seen])
    torch.manual_seed(0)
    task = ClassificationTask(num_classes=4, backbone_options={"filters": [8, 16], "depth": 1})
    # A metric of a user that keeps all predictions.
    task.add_metrics({"auroc": MulticlassAUROC(4)})
    examples = ShapesDataModule(train_size=7, val_size=1, image_size=(16, 20), batch_size=7)
    examples.setup("fit")
    with torch.no_grad():
        # Logits around zero, so that every class is predicted.
        (batch,) = examples.train_dataloader()
        task.head.linear.bias.sub_(task.eval()(batch.images).mean(0))
    small: dict[str, Any] = {"train_size": 1, "image_size": (16, 20)}
    cases: dict[str, ShapesDataModule | FolderDataModule] = {
        f"{images} images by {batch_size}": ShapesDataModule(val_size=images, eval_batch_size=batch_size, **small)
        for images, batch_size in CASES
    }
    options: dict[str, Any] = {"class_names": CLASS_NAMES, "image_size": (16, 20), "worker_timeout": 60}
    cases["5 files by 3, read by workers"] = FolderDataModule(
        folder.parent / "pictures", eval_batch_size=3, num_workers=1, **options
    )
    found, ids = {}, {}
    for name, data in cases.items():
        seen.ids.clear()
        (found[name],) = trainer.validate(task, datamodule=data, verbose=False)
        ids[name] = list(seen.ids)
    return found, ids


class Written(BasePredictionWriter):
    """Keeps the indices that a writer of predictions gets, with the numbers of predictions."""

    def __init__(self) -> None:
        super().__init__("batch_and_epoch")
        self.batches: list[Any] = []
        self.epoch: Any = None

    def write_on_batch_end(self, trainer: Trainer, pl_module: LightningModule, prediction: Any, *given: Any) -> None:  # noqa: ANN401 - as Lightning has it
        indices, batch, _, loader = given
        ids = batch.ids.tolist() if hasattr(batch, "ids") else None
        self.batches.append([loader, list(indices), len(prediction.labels), ids])

    def write_on_epoch_end(self, trainer: Trainer, pl_module: LightningModule, *given: Any) -> None:  # noqa: ANN401 - as Lightning has it
        _, self.epoch = given


def evaluate_several(devices: int, folder: Path) -> dict[str, Any]:
    """Validate and predict two loaders of ours, whose last batch on the last process is empty, and one of pairs."""
    torch.manual_seed(0)
    task = ClassificationTask(num_classes=4, backbone_options={"filters": [8, 16], "depth": 1, "norm": "group"})
    modules = [
        ShapesDataModule(train_size=1, val_size=5, image_size=(16, 20), batch_size=2),
        ShapesDataModule(train_size=1, val_size=3, image_size=(16, 20), batch_size=3, data_seed=1),
    ]
    for data in modules:
        data.setup("fit")

    def loaders() -> list[Any]:
        # On each process, when they run.
        return [data.val_dataloader() for data in modules]

    class Both(ShapesDataModule):
        def setup(self, stage: str) -> None:
            super().setup("fit")

        def val_dataloader(self) -> Any:  # noqa: ANN401 - a list instead of a loader
            return loaders()

        def predict_dataloader(self) -> Any:  # noqa: ANN401 - a list instead of a loader
            return loaders()

    both = Both(train_size=1, val_size=1, image_size=(16, 20))
    found: dict[str, Any] = {"scores": make_trainer(devices, folder).validate(task, datamodule=both, verbose=False)}
    written = Written()
    make_trainer(devices, folder, [written]).predict(task, datamodule=both, return_predictions=False)
    found["written"], found["epoch"] = written.batches, written.epoch
    own = Written()
    pairs = [(torch.zeros(3, 16, 20), torch.tensor(0)) for _ in range(5)]
    make_trainer(devices, folder, [own]).predict(task, DataLoader(pairs, batch_size=2))  # type: ignore[arg-type]  # a list is read like a Dataset
    found["own"] = own.batches
    return found


class Several(ClassificationTask):
    """Multilabel, of images that have one class each."""

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - the arguments of ClassificationTask
        super().__init__(**kwargs)
        self.takes = "classification"

    def as_batch(self, batch: ClassificationBatch) -> ClassificationBatch:
        return batch._replace(labels=one_hot(batch.labels, self.num_classes).to(torch.uint8))


def calibrate(trainer: Trainer) -> dict[str, float]:
    """Fit a temperature and thresholds, of weights that stay as they are."""
    torch.manual_seed(0)
    task = Several(
        num_classes=4,
        mode="multilabel",
        thresholds="best_f1",
        calibrate=True,
        backbone_options={"filters": [8, 16], "depth": 1, "norm": "group"},
        optimizer=partial(SGD, lr=0.0),
    )
    # The last process has a batch less.
    data = ShapesDataModule(train_size=4, val_size=13, image_size=(16, 20), batch_size=2, eval_batch_size=3)
    trainer.fit(task, datamodule=data)
    return {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("val/")}


def localize(trainer: Trainer) -> dict[str, Any]:
    torch.manual_seed(0)
    task = LocalizationTask(num_classes=4, backbone_options={"filters": [8, 16], "depth": 1})
    with torch.no_grad():
        # Features that differ from place to place, so that boxes and classes differ from image to image.
        head: Any = task.head
        head.cells.weight.normal_()
        head.classes.weight.mul_(20)
    found = {}
    for images, batch_size in CASES:
        data = ShapesDataModule(
            "localization", train_size=1, val_size=images, image_size=(16, 20), eval_batch_size=batch_size
        )
        data.setup("fit")
        val_set: Any = data.val_set
        for sample in val_set.samples[1::3]:  # images without an object
            sample.labels.fill_(-1)
        (found[f"{images} images by {batch_size}"],) = trainer.validate(task, datamodule=data, verbose=False)
    return found


def autoencode(trainer: Trainer) -> dict[str, Any]:
    torch.manual_seed(0)
    task = AutoencodingTask(
        code_size=4, image_size=(16, 20), backbone_options={"filters": [8, 16], "depth": 1}, bank_size=13
    )
    found = {}
    for images, batch_size in CASES:
        data = ShapesDataModule(train_size=29, val_size=images, image_size=(16, 20), eval_batch_size=batch_size)
        (found[f"{images} images by {batch_size}"],) = trainer.validate(task, datamodule=data, verbose=False)
    return found


def detect(devices: int, folder: Path) -> None:
    """Write the detections of three images, of which the second process sees none."""
    torch.manual_seed(0)
    data = COCODataModule(folder.parent / "scenes", "detection", image_size=(48, 64), batch_size=3)
    task = DetectionTask(
        data.num_classes,
        proposals="sliding-window",
        backbone_options={"filters": [8, 8, 8], "depth": 1},
        fpn_width=8,
        head_width=8,
        box_score_thresh=0.0,
    )
    make_trainer(devices, folder, [DetectionResults()]).test(task, datamodule=data, verbose=False)


def fit(
    trainer: Trainer,
    kind: type[ClassificationTask] = ClassificationTask,
    freeze: Freeze = "none",
    skip_nonfinite: int = 0,
) -> ClassificationTask:
    torch.manual_seed(0)
    backbone = {"filters": [8, 16], "depth": 1, "norm": "group"}
    optimizer = partial(SGD, lr=0.1, momentum=0.9)
    task = kind(
        num_classes=4, backbone_options=backbone, freeze=freeze, optimizer=optimizer, skip_nonfinite=skip_nonfinite
    )
    share = 4 // trainer.world_size
    # The third validation batch leaves the second process without images.
    data = ShapesDataModule(train_size=16, val_size=5, image_size=(16, 20), batch_size=share, eval_batch_size=2, seed=3)
    trainer.fit(task, datamodule=data)
    return task


def main(devices: int, folder: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        evaluation, seen = evaluate(devices, folder)
        results: dict[str, Any] = {"evaluation": evaluation, "seen": seen}
        trainer = make_trainer(devices, folder)
        results["several"] = evaluate_several(devices, folder)
        results["localization"] = localize(make_trainer(devices, folder))
        results["autoencoding"] = autoencode(make_trainer(devices, folder))
        detect(devices, folder)
        task = fit(trainer)
    metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
    results["training"] = {"steps": trainer.global_step, **metrics}
    results["calibration"] = calibrate(make_trainer(devices, folder))
    unfreezing = BackboneFinetuning(unfreeze_backbone_at_epoch=1, lambda_func=lambda epoch: 2.0)
    finetuned = fit(make_trainer(devices, folder, callbacks=[unfreezing]), freeze="all")
    torch.save(finetuned.state_dict(), folder / f"finetuned-{trainer.global_rank}.pt")
    results["warnings"] = sorted({f"{warning.message}" for warning in caught})
    (folder / f"results-{trainer.global_rank}.json").write_text(json.dumps(results))
    torch.save(task.state_dict(), folder / f"weights-{trainer.global_rank}.pt")


class Breaking(ClassificationTask):
    """Its loss becomes infinite on the last process, by a constant that no gradient depends on."""

    def losses(self, outputs: torch.Tensor, batch: ClassificationBatch) -> dict[str, torch.Tensor]:
        terms = super().losses(outputs, batch)
        last = self.global_step == 1 and self.global_rank == self.trainer.world_size - 1
        return {name: term + torch.inf if last else term for name, term in terms.items()}


def skip(devices: int, folder: Path) -> None:
    task = fit(trainer := make_trainer(devices, folder), Breaking, skip_nonfinite=1)
    skipped = int(trainer.callback_metrics["train/skipped"])
    torch.save({"weights": task.state_dict(), "skipped": skipped}, folder / f"skipped-{trainer.global_rank}.pt")


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    processes, results_folder = int(sys.argv[1]), Path(sys.argv[2])
    match sys.argv[3:]:
        case ["--break"]:
            fit(make_trainer(processes, results_folder), Breaking)
        case ["--skip"]:
            skip(processes, results_folder)
        case _:
            main(processes, results_folder)
