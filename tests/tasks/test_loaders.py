"""Several loaders for validation and test: each is scored as if it were alone."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, IterableDataset

from tests.data.datamodules.image_sets import write_coco
from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    COCODataModule,
    DetectionTask,
    LocalizationTask,
    SegmentationTask,
    ShapesDataModule,
)
from visiontasks.callbacks import (
    CodeImages,
    ConfusionImages,
    DetectionResults,
    FilterImages,
    PerClassTable,
    PredictionImages,
    ReliabilityDiagram,
    RunReport,
    WorstSamples,
)

SMALL: dict[str, Any] = {"filters": [4, 8], "depth": 1}
TASKS: dict[str, Callable[[], Any]] = {
    "classification": lambda: ClassificationTask(4, backbone_options=SMALL),
    "localization": lambda: LocalizationTask(4, backbone_options=SMALL),
    "segmentation": lambda: SegmentationTask(5, backbone_options=SMALL),
    "autoencoding": lambda: AutoencodingTask(code_size=4, backbone_options=SMALL, image_size=(32, 40), bank_size=8),
    "detection": lambda: DetectionTask(
        4, backbone_options={"filters": [8, 8, 8], "depth": 1}, fpn_width=8, head_width=8, box_score_thresh=0.0
    ),
}


class Several(ShapesDataModule):
    """Seven images in batches of three, and the first four of them as one batch."""

    def val_dataloader(self) -> Any:  # noqa: ANN401 - a list instead of a loader
        return self.several("fit")

    def test_dataloader(self) -> Any:  # noqa: ANN401 - a list instead of a loader
        return self.several("test")

    def several(self, stage: str) -> list[DataLoader[Any]]:
        sizes: dict[str, Any] = {"train_size": 4, "val_size": 4, "test_size": 4, "image_size": (32, 40)}
        other = ShapesDataModule(self.task, **sizes, batch_size=4, data_seed=1)
        other.setup(stage)
        if stage == "fit":
            return [super().val_dataloader(), other.val_dataloader()]
        return [super().test_dataloader(), other.test_dataloader()]


def shapes(kind: str = "classification", **options: Any) -> Several:  # noqa: ANN401 - arguments of the data module
    task: Any = "classification" if kind == "autoencoding" else kind
    return Several(task, train_size=8, val_size=7, test_size=7, image_size=(32, 40), batch_size=3, **options)


@pytest.mark.parametrize("stage", ["validate", "test"])
@pytest.mark.parametrize("kind", TASKS)
def test_each_loader_has_the_figures_that_it_has_alone(
    kind: str, stage: str, make_trainer: Callable[..., Trainer]
) -> None:
    task, data = TASKS[kind](), shapes(kind)
    evaluate = getattr(make_trainer(), stage)
    found = evaluate(task, datamodule=data, verbose=False)
    assert len(found) == 2

    class Single(Several):
        index = 0

        def several(self, stage: str) -> list[DataLoader[Any]]:
            return super().several(stage)[self.index : self.index + 1]

    data.__class__ = Single
    for index in range(2):
        Single.index = index
        (alone,) = getattr(make_trainer(), stage)(task, datamodule=data, verbose=False)
        named = {f"{name}/dataloader_idx_{index}": value for name, value in alone.items()}
        if index == 0:
            named |= alone
        assert found[index] == pytest.approx(named, nan_ok=True, rel=0, abs=0)
    loss = {"validate": "val/loss", "test": "test/loss"}[stage]
    assert found[0][loss] != found[1][f"{loss}/dataloader_idx_1"]


class Stream(IterableDataset[Any]):
    """Batches without a length."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def test_loaders_without_a_length_are_told_apart(make_trainer: Callable[..., Trainer]) -> None:
    task, data = TASKS["classification"](), shapes()
    data.setup("fit")
    loaders = data.val_dataloader()
    found = make_trainer().validate(task, loaders, verbose=False)
    streams = [DataLoader(Stream(list(loader)), batch_size=None) for loader in loaders]
    streamed = make_trainer().validate(task, streams, verbose=False)
    assert [pytest.approx(expected, nan_ok=True, rel=0, abs=0) for expected in found] == streamed


def test_pairs_of_a_loader_of_ones_own(make_trainer: Callable[..., Trainer]) -> None:
    pairs = [(torch.rand(3, 32, 40), torch.tensor(label % 4)) for label in range(6)]
    loaders: list[Any] = [DataLoader(part, batch_size=2) for part in (pairs[:4], pairs[4:])]  # type: ignore[arg-type]  # a list is read like a Dataset
    first, second = make_trainer().test(TASKS["classification"](), loaders, verbose=False)
    assert first["test/loss"] == first["test/loss/dataloader_idx_0"] != second["test/loss/dataloader_idx_1"]
    assert "test/loss" not in second


@pytest.mark.parametrize("monitor", [None, "val/accuracy/dataloader_idx_1"])
def test_the_tasks_monitor_follows_the_first_loader(
    monitor: str | None, make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    task = TASKS["classification"]()
    best = ModelCheckpoint(tmp_path, monitor=monitor or task.monitor, mode=task.monitor_mode)
    stop = EarlyStopping("val/loss", patience=5)
    trainer = make_trainer(max_epochs=2, callbacks=[best, stop], enable_checkpointing=True)
    trainer.fit(task, shapes())
    assert best.best_model_path
    values = list(best.best_k_models.values())
    name = monitor or "val/accuracy/dataloader_idx_0"
    assert max(values) >= trainer.callback_metrics[name]
    if monitor is None:
        assert trainer.callback_metrics["val/accuracy"] == trainer.callback_metrics[name]


def test_a_decision_is_fitted_to_the_first_loader(make_trainer: Callable[..., Trainer]) -> None:
    found = []
    for both in (True, False):
        torch.manual_seed(0)
        task = ClassificationTask(4, backbone_options=SMALL, calibrate=True)
        data = shapes()
        data.setup("fit")
        loaders = data.val_dataloader()
        trainer = make_trainer(max_epochs=1)
        trainer.fit(task, ShapesDataModule.train_dataloader(data), loaders if both else loaders[:1])
        found.append((trainer.callback_metrics["val/temperature"], task.decision.temperature.clone()))
    assert found[0] == found[1]
    assert found[0][0] != 1


@pytest.mark.parametrize("kind", TASKS)
def test_pictures_and_tables_of_each_loader(kind: str, tmp_path: Path) -> None:
    task = TASKS[kind]()
    callbacks = [PredictionImages(), ConfusionImages(), WorstSamples(), PerClassTable(), RunReport(), FilterImages()]
    callbacks += [ReliabilityDiagram()] if kind == "classification" else []
    callbacks += [CodeImages()] if kind == "autoencoding" else []
    trainer = Trainer(
        accelerator="cpu",
        logger=CSVLogger(tmp_path, name="", version="run"),
        callbacks=callbacks,
        enable_progress_bar=False,
        max_epochs=1,
        log_every_n_steps=1,
    )
    data: LightningDataModule = shapes(kind)
    trainer.fit(task, data)
    trainer.test(task, data, verbose=False)
    folder = tmp_path / "run"
    written = {str(path.relative_to(folder)) for path in folder.rglob("*.png")}
    first = {name for name in written if "dataloader_idx" not in name}
    assert {name.replace("_dataloader_idx_1", "") for name in written - first} == first
    assert {"predictions/val_epoch_0.png", "predictions/test.png", "filters/epoch_0.png"} <= first
    shown = {name: (folder / f"predictions/test{name}.png").read_bytes() for name in ("", "_dataloader_idx_1")}
    assert shown[""] != shown["_dataloader_idx_1"]
    page = (folder / "report.html").read_text()
    assert '<th scope="col">loader 1</th>' in page
    assert "dataloader_idx" not in page
    if kind not in ("autoencoding", "localization"):
        for index, suffix in enumerate(("", "_dataloader_idx_1")):
            with (folder / "per_class" / f"test{suffix}.csv").open(newline="") as stream:
                rows = list(csv.DictReader(stream))
            assert [row["class"] for row in rows] == task.display_names
            metric = next(name for name in rows[0] if name != "class")
            for row in rows:
                logged = float(trainer.callback_metrics[f"test/{metric}/{row['class']}/dataloader_idx_{index}"])
                assert float(row[metric] or "nan") == pytest.approx(logged, rel=1e-5, nan_ok=True)


def test_detections_of_each_loader_are_files_of_their_own(tmp_path: Path) -> None:
    write_coco(tmp_path / "data")
    data = COCODataModule(tmp_path / "data", "detection", image_size=(48, 64), num_workers=0)
    data.setup("fit")
    data.setup("test")
    task = TASKS["detection"]()
    options: Any = {"accelerator": "cpu", "enable_progress_bar": False, "callbacks": [DetectionResults()]}
    trainer = Trainer(**options, logger=CSVLogger(tmp_path, name="", version="both"))
    # Without the data module: the files are those of the loader.
    trainer.test(task, [data.val_dataloader(), data.unaugmented_dataloader()], verbose=False)
    alone = Trainer(**options, logger=CSVLogger(tmp_path, name="", version="alone"))
    alone.test(task, data.unaugmented_dataloader(), verbose=False)
    second = (tmp_path / "both" / "results_dataloader_idx_1" / "detections.json").read_text()
    assert second == (tmp_path / "alone" / "results" / "detections.json").read_text() != "[]"
    assert second != (tmp_path / "both" / "results" / "detections.json").read_text()
