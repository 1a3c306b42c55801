"""Counts of classes that are taken for one another, against a plain loop."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor

from visiontasks import ClassificationTask, DetectionTask, LocalizationTask, SegmentationTask, ShapesDataModule
from visiontasks.callbacks import confusion
from visiontasks.callbacks.confusion import ConfusionImages
from visiontasks.callbacks.kinds import kind_of
from visiontasks.callbacks.worst_samples import WorstSamples
from visiontasks.metrics.detection_confusion import DetectionConfusion
from visiontasks.visualization import draw_confusion, shelve

SMALL = {"filters": [4, 8], "depth": 1}
TASKS: dict[str, Any] = {
    "classification": lambda: ClassificationTask(4, backbone_options=SMALL),
    "localization": lambda: LocalizationTask(4, backbone_options=SMALL),
    "segmentation": lambda: SegmentationTask(5, backbone_options=SMALL),
    "detection": lambda: DetectionTask(
        4, backbone="resnet18", fpn_width=16, head_width=16, box_score_thresh=0.0, box_detections_per_img=5
    ),
}


def evaluate(kind: str, folder: Path, *callbacks: Any, logger: Any = None) -> tuple[Any, list[tuple[Any, Any]]]:  # noqa: ANN401 - a task of any kind
    """Validate an untrained task, and return it with batches and predictions."""
    task = TASKS[kind]()
    data = ShapesDataModule(task=kind, train_size=4, val_size=7, test_size=4, image_size=(32, 40), batch_size=3)  # type: ignore[arg-type]  # one of the tasks
    trainer = Trainer(
        accelerator="cpu", logger=logger or CSVLogger(folder, "run", "0"), enable_progress_bar=False,
        callbacks=list(callbacks),
    )  # fmt: skip
    trainer.validate(task, datamodule=data, verbose=False)
    with torch.no_grad():
        return task, [(batch, task.eval().predict(task(*task.inputs(batch)))) for batch in data.val_dataloader()]


@pytest.mark.parametrize("kind", TASKS)
def test_counts_are_those_of_a_loop(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[Tensor, Sequence[str]]] = []

    def noted(counts: Tensor, names: Sequence[str], title: str) -> Tensor:
        drawn.append((counts, names))
        return draw_confusion(counts, names, title)

    monkeypatch.setattr("visiontasks.callbacks.confusion.draw_confusion", noted)
    task, pairs = evaluate(kind, tmp_path, ConfusionImages())
    ((counts, names),) = drawn
    expected = torch.zeros_like(counts)
    if kind == "detection":
        metric = DetectionConfusion(4)
        for batch, predictions in pairs:
            metric.update(predictions, batch)
        expected = metric.compute()
        assert names[-1] == "background"
    else:
        for batch, predictions in pairs:
            true = batch.masks if kind == "segmentation" else batch.labels
            for row, column in zip(true.flatten().tolist(), predictions.labels.flatten().tolist(), strict=True):
                expected[row, column] += 1
    assert torch.equal(counts, expected)
    assert counts.sum() > 0
    assert len(names) == len(counts) == (5 if kind in ("detection", "segmentation") else 4)
    assert task.class_names == list(names[: len(task.class_names)])
    assert (tmp_path / "run" / "0" / "confusion" / "val_epoch_0.png").is_file()


@pytest.mark.parametrize("kind", TASKS)
def test_the_worst_are_those_of_the_lowest_quality(kind: str, tmp_path: Path) -> None:
    shown: list[int] = []

    class Noted(WorstSamples):
        def look(self, *seen: Any) -> None:  # noqa: ANN401 - as the base
            super().look(*seen)
            shown[:] = [sample.order[0] for sample in self._worst.kept]

    task, pairs = evaluate(kind, tmp_path, Noted(count=3))
    measured: dict[int, float] = {}
    for batch, found in pairs:
        quality = kind_of(task, found, batch).quality
        assert quality is not None
        measured |= dict(zip(batch.ids.tolist(), quality(batch, found)[1].tolist(), strict=True))
    expected = sorted(measured, key=lambda number: (measured[number], number))[:3]
    assert [measured[number] for number in shown] == pytest.approx([measured[number] for number in expected], abs=1e-5)
    assert (tmp_path / "run" / "0" / "worst" / "val_epoch_0.png").is_file()


def test_tensorboard_gets_figures(tmp_path: Path) -> None:
    figures: dict[str, tuple[int, ...]] = {}

    class Recorder:
        def add_image(self, tag: str, picture: Tensor, step: int) -> None:
            figures[tag] = tuple(picture.shape)

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any method
            return lambda *words, **more: None

    class Recorded(TensorBoardLogger):
        def __init__(self) -> None:
            self._root_dir, self._name, self._version, self._sub_dir, self._prefix = str(tmp_path), "tb", 0, None, ""
            self._fs, self.hparams, self._log_graph = None, {}, False

        @property
        def experiment(self) -> Any:  # noqa: ANN401 - stands in for TensorBoard's writer
            return Recorder()

        def log_metrics(self, *words: Any, **more: Any) -> None:  # noqa: ANN401 - as above
            pass

        def log_hyperparams(self, *words: Any, **more: Any) -> None:  # noqa: ANN401 - as above
            pass

        def finalize(self, status: str) -> None:
            pass

        def save(self) -> None:
            pass

    evaluate("classification", tmp_path, ConfusionImages(), WorstSamples(2), logger=Recorded())
    assert set(figures) == {"val/confusion", "val/worst"}
    assert all(shape[0] == 3 for shape in figures.values())
    assert (tmp_path / "tb" / "version_0" / "worst" / "val_epoch_0.png").is_file()


def test_the_chart_of_weights_and_biases_has_a_row_for_each_pair_of_classes() -> None:
    counts = torch.tensor([[3, 1], [0, 2]])
    chart = confusion._chart(counts, ["cat", "dog"], "val")
    rows = [["cat", "cat", 3], ["cat", "dog", 1], ["dog", "cat", 0], ["dog", "dog", 2]]
    assert chart.table.data == rows
    assert chart.table.columns == ["Actual", "Predicted", "nPredictions"]
    most = 100
    assert confusion._chart(torch.eye(most), [str(label) for label in range(most)], "val") is not None
    assert confusion._chart(torch.eye(most + 1), [str(label) for label in range(most + 1)], "val") is None


def test_two_evaluations_are_counted_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def noted(counts: Tensor, *given: Any) -> Tensor:  # noqa: ANN401 (as the function it stands in for)
        drawn.append(int(counts.sum()))
        return draw_confusion(counts, *given)

    monkeypatch.setattr("visiontasks.callbacks.confusion.draw_confusion", noted)
    callback = ConfusionImages()
    for name in ("first", "second"):
        evaluate("classification", tmp_path / name, callback)
    assert drawn == [7, 7]


def test_an_image_without_an_object_is_not_counted_and_processes_are_summed() -> None:
    callback = ConfusionImages()
    batch, found = SimpleNamespace(labels=torch.tensor([-1, 0, 1])), SimpleNamespace(labels=torch.tensor([1, 1, 1]))
    callback.look(Mock(Trainer), SimpleNamespace(num_classes=2), found, batch, 0, "val", "val_epoch_0")
    assert callback._counts is not None
    assert callback._counts.tolist() == [[0, 1], [0, 1]]
    trainer: Any = Mock(Trainer, loggers=[1], is_global_zero=True)
    trainer.strategy.reduce.side_effect = lambda counts, reduce_op: 2 * counts
    task = SimpleNamespace(num_classes=2, display_names=["a", "b"], metrics={}, device="cpu")
    callback.finish(trainer, task, "test", "test")
    assert trainer.strategy.reduce.call_args.kwargs == {"reduce_op": "sum"}
    shown = callback._shown["test"]
    assert shown.tag == "test/confusion"
    assert torch.equal(shown.picture, draw_confusion(torch.tensor([[0, 2], [0, 2]]), ["a", "b"], "test"))


def test_pictures_of_many_classes_stay_small() -> None:
    counts = torch.randint(20_000_000, (300, 300))
    shape = draw_confusion(counts, [f"class {label}" for label in range(300)]).shape
    assert max(shape) < 2000
    few = draw_confusion(torch.tensor([[3, 0], [1, 2]]), ["cat", "dog"])
    assert max(few.shape) < 400
    beside = shelve([few, few[:, :10, :20]])
    assert beside.shape == (3, few.shape[1], few.shape[2] + 20)
    below = shelve([few, few[:, :10, :20]], width=few.shape[2] + 19)
    assert below.shape == (3, few.shape[1] + 10, few.shape[2])
