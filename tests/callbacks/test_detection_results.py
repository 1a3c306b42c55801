import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, Mock

import numpy as np
import pytest
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.data.datamodules.image_sets import write_coco
from visiontasks import COCODataModule, DetectionTask, ShapesDataModule
from visiontasks.callbacks.detection_results import DetectionResults
from visiontasks.errors import ArgumentError
from visiontasks.metrics.detection_records import DetectionMetric, Detections


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[Path, Any]]:
    """Test an untrained detector of low standards on files; return the folder of results and the metrics."""

    def test(form: Any) -> tuple[Path, Any]:  # noqa: ANN401 - one of two strings
        write_coco(tmp_path / "data")
        data = COCODataModule(tmp_path / "data", "detection", image_size=(48, 64), num_workers=0)
        task = DetectionTask(
            data.num_classes,
            backbone_options={"filters": [8, 8, 8], "depth": 1},
            fpn_width=8,
            head_width=8,
            proposals="sliding-window",
            box_score_thresh=0.0,
        )
        trainer = Trainer(
            accelerator="cpu",
            logger=CSVLogger(tmp_path / "logs"),
            callbacks=[DetectionResults(form)],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        (metrics,) = trainer.test(task, datamodule=data, verbose=False)
        return Path(str(trainer.log_dir)) / "results", (metrics, data)

    return test


def test_cocos_own_tool_gives_the_figures_that_were_logged(run: Callable[..., tuple[Path, Any]]) -> None:
    folder, (metrics, data) = run("coco")
    results = json.loads((folder / "detections.json").read_text())
    assert len(results) > 20
    index = data.test_set.index
    assert {row["category_id"] for row in results} <= set(index.category_ids.tolist())
    assert {row["image_id"] for row in results} <= {int(number) for number in index.image_ids}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(data.find_source("val", None).file))
        truth.dataset.setdefault("info", {})  # without it, pycocotools 2.0.10 reads no results
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[8] > 0
    for name, value in zip(("map", "map_50", "map_75", "mar_100"), evaluation.stats[[0, 1, 2, 8]], strict=True):
        assert metrics[f"test/{name}"] == pytest.approx(value, abs=1e-6)


def test_vocs_form_is_a_file_per_class(run: Callable[..., tuple[Path, Any]]) -> None:
    folder, (_, data) = run("voc")
    files = sorted(path.name for path in folder.glob("*.txt"))
    assert files == sorted(f"comp4_det_test_{name}.txt" for name in data.class_names)
    rows = [line.split() for path in folder.glob("*.txt") for line in path.read_text().splitlines()]
    assert len(rows) > 20
    boxes = np.array([row[-4:] for row in rows], float)
    assert (boxes[:, :2] >= 1).all()


def test_data_without_files_are_an_error(tmp_path: Path) -> None:
    data = ShapesDataModule("detection", train_size=1, val_size=1, test_size=1)
    task = DetectionTask(4, backbone_options={"filters": [8, 8, 8], "depth": 1}, fpn_width=8, head_width=8)
    trainer = Trainer(
        accelerator="cpu", logger=CSVLogger(tmp_path), callbacks=[DetectionResults()], enable_progress_bar=False
    )
    with pytest.raises(ArgumentError, match="a MemorySamples, have no files"):
        trainer.test(task, datamodule=data, verbose=False)


def detect(form: Any, loaders: int = 1, **options: Any) -> Any:  # noqa: ANN401 (one of two strings; a callback)
    """Let a callback write what a metric holds of loaders with two batches of an image each."""
    indices = [
        SimpleNamespace(
            image_id=(f"000{5 + loader}", 2**70 + loader).__getitem__,
            class_names=("cat", "dog"),
            category_id=(7, "9").__getitem__,
            **options,
        )
        for loader in range(loaders)
    ]
    boxes = np.array([[0.0, 1.0, 4.0, 6.0], [2.0, 2.0, 8.0, 5.0]])
    found = Detections(np.array([0, 1]), boxes, np.array([0, 1]), np.array([0.75, 0.5]))
    metric: Any = MagicMock(DetectionMetric)
    metric.records.return_value = (np.array([0, 1]), None, found)
    metric._defaults, metric._reductions = {}, {}
    task: Any = Mock(LightningModule, scores=SimpleNamespace(test_metrics={"map": metric}))
    trainer: Any = Mock(Trainer, log_dir="runs", is_global_zero=True)
    sets = [SimpleNamespace(dataset=SimpleNamespace(index=index)) for index in indices]
    trainer._evaluation_loop._combined_loader.flattened = sets
    callback = DetectionResults(form)
    for _ in range(2):  # two tests with the same callback
        callback.on_test_start(trainer, task)
        for loader in range(loaders):
            for number in range(2):
                callback.on_test_batch_start(trainer, task, None, number, loader)
        callback.on_test_epoch_end(trainer, task)
        callback.on_test_end(trainer, task)
    return callback


def test_each_loader_has_a_folder_with_boxes_to_the_pixel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    detect("coco", loaders=2)
    assert sorted(path.name for path in Path("runs").iterdir()) == ["results", "results_dataloader_idx_1"]
    for folder, loader in (("results", 0), ("results_dataloader_idx_1", 1)):
        assert json.loads(Path("runs", folder, "detections.json").read_text()) == [
            {"image_id": f"000{5 + loader}", "category_id": 7, "bbox": [0.0, 1.0, 4.0, 5.0], "score": 0.75},
            {"image_id": 2**70 + loader, "category_id": "9", "bbox": [2.0, 2.0, 6.0, 3.0], "score": 0.5},
        ]


def test_a_line_of_voc_counts_pixels_from_1_and_includes_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    detect("voc")
    lines = {path.stem.split("_")[-1]: path.read_text().split() for path in Path("runs", "results").iterdir()}
    assert {name: [line[0], *map(float, line[1:])] for name, line in lines.items()} == {
        "cat": ["0005", 0.75, 1.0, 2.0, 4.0, 6.0],
        "dog": [str(2**70), 0.5, 3.0, 3.0, 8.0, 5.0],
    }
