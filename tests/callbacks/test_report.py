import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger

from tests.callbacks.report_runs import CLASSES, TINY, decisions, loader, make_task, matrix, shapes
from tests.report.reading import Page, check_self_contained
from visiontasks import (
    ClassificationBatch,
    ClassificationTask,
    ShapesDataModule,
    Task,
)
from visiontasks.callbacks.report import RunReport
from visiontasks.errors import ArgumentError, DataError
from visiontasks.metrics.confusion import ConfusionMatrix
from visiontasks.metrics.detection_confusion import DetectionConfusion
from visiontasks.report import History

HOSTILE = ["<script>alert(1)</script>", '"it\'s" & </td><b>', "🙂 smile", "a/b"]

Run = Callable[..., tuple[Page, dict[str, float]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Test a task with a report; return the page and the metrics."""

    def test(task: Task, data: Any, report: RunReport | None = None) -> tuple[Page, dict[str, float]]:  # noqa: ANN401 - of any task
        trainer = Trainer(
            accelerator="cpu",
            logger=CSVLogger(tmp_path),
            callbacks=[report or RunReport(count=3)],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        given = {"datamodule": data} if isinstance(data, ShapesDataModule) else {"dataloaders": data}
        metrics, *_ = trainer.test(task, **given, verbose=False)
        file = Path(str(trainer.log_dir)) / "report.html"
        page = Page(file.read_text(encoding="utf-8"))
        check_self_contained(page)
        return page, dict(metrics)

    return test


def check_metrics(page: Page, metrics: dict[str, float]) -> None:
    """Check that the page has every logged number, to the last digit."""
    shown = page.table("metric", "value")
    for name, value in metrics.items():
        if name.count("/") == 1:
            assert float(shown[name][0]) == pytest.approx(value, nan_ok=True, abs=0)
            continue
        _, metric, label = name.split("/", 2)
        classes = page.table("class")
        column = classes["class"].index(metric)
        assert float(classes[label][column]) == pytest.approx(value, nan_ok=True, abs=0)


def test_metrics_of_the_training_that_cannot_be_read_leave_the_page_without_curves(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(file: Path) -> History:
        message = f"{file} is damaged"
        raise DataError(message)

    monkeypatch.setattr("visiontasks.callbacks.report.read_history", damaged)
    with pytest.warns(UserWarning, match="The report has no curves: .* is damaged"):
        page, metrics = run(make_task("classification"), shapes("classification"))
    check_metrics(page, metrics)


@pytest.mark.parametrize("name", ["classification", "localization", "segmentation", "detection"])
def test_the_page_has_the_logged_metrics_and_samples(name: str, run: Run) -> None:
    page, metrics = run(make_task(name), shapes(name))
    assert len(metrics) >= 3
    check_metrics(page, metrics)
    assert page.html.count("data:image/jpeg;base64,") >= (3 if name == "detection" else 9)
    for text in ("Random 3", "12 test", "circle, square, triangle, star", "To repeat it"):
        assert text in page.text
    assert "There are no metrics of a training" in page.text


@pytest.mark.parametrize("name", ["classification", "localization"])
def test_the_confusion_matrix_is_that_of_a_plain_loop(name: str, run: Run) -> None:
    task, data = make_task(name), shapes(name)
    page, _ = run(task, data)
    counts = torch.zeros(4, 4, dtype=torch.int64)
    with torch.no_grad():
        for batch in data.test_dataloader():
            found = task.eval().predict(task(batch.images)).labels
            for truth, guess in zip(batch.labels.tolist(), found.tolist(), strict=True):
                counts[truth, guess] += 1
    assert matrix(page, CLASSES) == counts.tolist()
    classes = page.table("class", "images", "precision", "recall")
    assert [int(classes[label][0]) for label in data.class_names] == counts.sum(1).tolist()


def test_pixels_are_counted_as_the_metric_counts_them(run: Run) -> None:
    task, data = make_task("segmentation"), shapes("segmentation")
    page, metrics = run(task, data)
    metric = ConfusionMatrix(5)
    with torch.no_grad():
        for batch in data.test_dataloader():
            metric.update(task.eval().predict(task(batch.images)).labels, batch.masks)
    assert matrix(page, list(data.class_names)) == metric.counts.tolist()
    classes = page.table("class", "pixels")
    assert sum(int(row[0].replace(",", "")) for name, row in classes.items() if name != "class") == 12 * 24 * 32
    right = [float(row[2]) for name, row in classes.items() if name != "class"]
    recalls = [value for value in right if value == value]
    assert sum(recalls) / len(recalls) == pytest.approx(metrics["test/mean_accuracy"])


def test_detections_are_counted_at_every_score(run: Run) -> None:
    task, data = make_task("detection"), shapes("detection")
    # Scores on both sides of 0.5, which an untrained network does not have.
    next(module for name, module in task.named_modules() if name.endswith("cls_score")).weight.data *= 40
    page, _ = run(task, data)
    counts = page.thresholds()
    objects = sum(int((sample.labels >= 0).sum()) for sample in data.test_dataloader())
    assert sum(counts["wanted"]) == objects
    # Every detection is right or wrong at threshold 0, and none reaches 1.
    assert sum(row[0] for row in counts["right"]) + sum(row[0] for row in counts["wrong"]) > objects
    assert not any(row[100] for row in counts["right"] + counts["wrong"])
    metric, everything = DetectionConfusion(4, score=0.5), DetectionConfusion(4, score=0.05)
    with torch.no_grad():
        for batch in data.test_dataloader():
            predictions = task.eval().predict(task(*task.inputs(batch)))
            metric.update(predictions, batch)
            everything.update(predictions, batch)
    assert metric.compute()[:, :4].sum() > 0
    assert not torch.equal(metric.compute(), everything.compute())
    assert matrix(page, [*CLASSES, "background"]) == metric.compute().tolist()
    assert "Detections from score 0.5 on" in page.text


@pytest.mark.parametrize("classes", [0, 3], ids=["binary", "multilabel"])
def test_decisions_are_counted_at_every_probability(classes: int, run: Run) -> None:
    batches = decisions(classes)
    mode: Any = "multilabel" if classes else "binary"
    task = ClassificationTask(classes or 2, mode=mode, **TINY)
    page, metrics = run(task, loader(batches))
    check_metrics(page, metrics)
    counts = page.thresholds()
    labels = torch.cat([batch.labels for batch in batches]).reshape(20, -1)
    with torch.no_grad():
        probabilities = torch.cat([task.eval().predict(task(batch.images)).probabilities for batch in batches])
    probabilities = probabilities if classes else probabilities[:, 1:]
    for step in (0, 30, 50, 70):
        decided = probabilities >= step / 100
        for label in range(max(classes, 1)):
            assert counts["right"][label][step] == int((decided & (labels == 1))[:, label].sum())
            assert counts["wrong"][label][step] == int((decided & (labels == 0))[:, label].sum())
    assert counts["wanted"] == labels.sum(0).tolist()
    assert ("predicted" in page.html) == (not classes), "one of two classes has a confusion matrix, several have none"


def test_the_slider_starts_at_the_threshold_of_the_task(run: Run) -> None:
    batches = decisions(0)
    task = ClassificationTask(2, mode="binary", thresholds=0.31, **TINY)
    page, _ = run(task, loader(batches))
    assert 'value="31"' in page.html
    labels = torch.cat([batch.labels for batch in batches])
    with torch.no_grad():
        predicted = torch.cat([task.eval().predict(task(batch.images)).labels for batch in batches])
    expected = [[int(((labels == true) & (predicted == decided)).sum()) for decided in (0, 1)] for true in (0, 1)]
    assert matrix(page, ["0", "1"]) == expected


def test_hostile_class_names_are_text(run: Run) -> None:
    task = ClassificationTask(4, class_names=HOSTILE, **TINY)
    labels = torch.arange(16) % 3  # no image of the last class
    batch = ClassificationBatch(torch.randint(256, (16, 3, 16, 16), dtype=torch.uint8), labels, torch.arange(16))
    page, metrics = run(task, loader([batch]))
    assert "<script>alert" not in page.html
    assert page.tags.count("script") == 0
    assert "b" not in page.tags
    check_metrics(page, metrics)
    classes = page.table("class")
    assert set(HOSTILE) <= set(classes)
    assert classes["a/b"][:1] == ["0"]
    assert classes["a/b"][2] == "nan"


@pytest.mark.parametrize("name", ["classification", "segmentation", "detection"])
def test_the_report_changes_neither_the_task_nor_its_metrics(name: str, run: Run) -> None:
    task, data = make_task(name), shapes(name)
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    (plain,) = Trainer(accelerator="cpu", **quiet).test(task, datamodule=data, verbose=False)
    names, state = set(vars(task)), {key: value.clone() for key, value in task.state_dict().items()}
    _, metrics = run(task, data)
    assert metrics == pytest.approx(dict(plain), nan_ok=True, abs=0)
    assert set(vars(task)) == names
    assert all(torch.equal(value, state[key]) for key, value in task.state_dict().items())


def test_of_several_loaders_the_page_shows_the_first(run: Run) -> None:
    batches = decisions(0)
    page, _ = run(ClassificationTask(2, mode="binary", **TINY), [loader(batches[:1]), loader(batches)])
    assert sum(map(sum, matrix(page, ["0", "1"]))) == 8
    assert page.thresholds()["wanted"] == [int(batches[0].labels.sum())]
    assert "Of the first loader, as the classes, confusions and thresholds above." in page.text


def test_a_task_of_another_kind_gets_a_page_without_samples(run: Run) -> None:
    class Means(ClassificationTask):
        def predict(self, outputs: Any) -> Any:  # noqa: ANN401 - as the base
            return outputs.mean(1)

        def update_metrics(self, predictions: Any, batch: Any) -> None:  # noqa: ANN401 - as the base
            self.metrics.update(torch.eye(4)[batch.labels], batch.labels)

    page, metrics = run(Means(4, **TINY), shapes("classification"))
    assert re.search(r"test/loss", page.text)
    assert float(page.table("metric", "value")["test/loss"][0]) == pytest.approx(metrics["test/loss"], abs=0)
    assert "data:image/jpeg" not in page.html


def test_no_page_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = Trainer(accelerator="cpu", logger=False, callbacks=[RunReport()], enable_progress_bar=False)
    trainer.test(make_task("classification"), datamodule=shapes("classification"), verbose=False)
    assert not list(tmp_path.rglob("report.html"))


def test_a_count_out_of_range_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="count is 51; expected 0 to 50"):
        RunReport(count=51)
