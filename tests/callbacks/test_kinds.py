"""The table of what shows predictions, and a task's own row."""

import logging
import re
from dataclasses import fields
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import visiontasks.types
from visiontasks import ClassificationBatch, ClassificationPredictions, DetectionBatch, DetectionPredictions
from visiontasks.callbacks.kinds import KINDS, caption, class_pairs, kind_of
from visiontasks.kinds import Kind

NAMES = ["cat", "dog"]
IMAGES, IDS = torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.arange(2)
CLASSES = ClassificationBatch(IMAGES, torch.tensor([0, 1]), IDS)
FOUND = ClassificationPredictions(
    torch.tensor([[0.9, 0.1], [0.8, 0.2]]), torch.tensor([0, 0]), torch.tensor([0.9, 0.8])
)


class OwnPredictions(NamedTuple):
    """Predictions of a task of the user's own."""

    angles: Tensor


def task_with(kind: Kind | None) -> Any:  # noqa: ANN401 (stands in for a task)
    return type("AngleTask", (), {"kind": kind})()


def one(batch: Any, index: int) -> Any:  # noqa: ANN401 (of any kind)
    return type(batch)(*(field[index : index + 1] for field in batch))


def test_every_predictions_type_has_one_row_that_draws_and_judges() -> None:
    types = {value for name, value in vars(visiontasks.types).items() if name.endswith("Predictions")}
    assert {kind.predictions for kind in KINDS} == types
    assert len(KINDS) == len(types)
    assert all(kind.draw and kind.quality for kind in KINDS)


def test_the_functions_of_a_task_come_before_those_of_the_table() -> None:
    def draw(*args: object) -> Tensor:
        return IMAGES[0]

    (row,) = (kind for kind in KINDS if kind.predictions is ClassificationPredictions)
    kind = kind_of(task_with(Kind(draw=draw)), FOUND, CLASSES)
    assert kind.draw is draw
    rest = {field.name for field in fields(Kind)} - {"draw"}
    assert all(getattr(kind, name) is getattr(row, name) for name in rest)
    assert kind_of(task_with(None), FOUND, CLASSES) == row


def test_a_batch_of_ones_own_needs_the_fields_of_the_row() -> None:
    class More(NamedTuple):
        images: Tensor
        labels: Tensor
        ids: Tensor
        weather: Tensor

    class Less(NamedTuple):
        images: Tensor

    assert kind_of(task_with(None), FOUND, More(IMAGES, CLASSES.labels, IDS, IDS)).draw is not None
    assert kind_of(task_with(None), FOUND, Less(IMAGES)) == Kind()


@pytest.mark.parametrize(
    ("kind", "predictions", "expected"),
    [
        (None, OwnPredictions(IDS), "no pictures of predictions and no best and worst images of Own"),
        (None, IDS, r"\(Tensor\)"),
        (Kind(draw=lambda *_: IMAGES[0]), OwnPredictions(IDS), "no best and worst images of Own"),
    ],
)
def test_what_is_not_shown_is_logged_once_with_the_remedy(
    kind: Kind | None,
    predictions: Any,  # noqa: ANN401 (of any kind)
    expected: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    task = type("Own", (), {"kind": kind})()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            kind_of(task, predictions, CLASSES)
    (record,) = caplog.records
    assert re.search(expected, record.getMessage())
    missing = "quality=..." if kind else "draw=..., quality=..."
    assert f"set kind = visiontasks.Kind({missing}) in the class" in record.getMessage()


def test_of_complete_rows_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        kind_of(task_with(None), FOUND, CLASSES)
    assert not caplog.records


def test_a_caption_names_the_classes_and_the_true_ones_if_they_differ() -> None:
    kind = kind_of(task_with(None), FOUND, CLASSES)
    assert caption(kind, one(CLASSES, 0), one(FOUND, 0), NAMES) == "cat 0.90"
    assert caption(kind, one(CLASSES, 1), one(FOUND, 1), NAMES) == "cat 0.80, true: dog"
    several = ClassificationBatch(IMAGES, torch.tensor([[1, 1], [0, 1]], dtype=torch.uint8), IDS)
    predictions = ClassificationPredictions(torch.rand(2, 2), several.labels.flip(0), torch.rand(2, 2))
    assert caption(kind, one(several, 0), one(predictions, 0), NAMES) == "dog, true: cat, dog"
    assert kind.wandb is not None
    assert kind.wandb(one(CLASSES, 1), one(FOUND, 1), NAMES) == {"caption": "cat 0.80, true: dog"}


def test_a_caption_counts_objects_and_detections() -> None:
    boxes, labels = torch.zeros(1, 3, 4), torch.tensor([[0, 1, -1]])
    ignore = torch.tensor([[False, True, False]])
    size, scale = torch.tensor([[8, 8]]), torch.ones(1, 2)
    batch = DetectionBatch(IMAGES[:1], boxes, labels, ignore, size, scale, IDS[:1], torch.zeros(1, 3))
    predictions = DetectionPredictions(boxes, torch.tensor([[0.9, 0.5, 0.49]]), torch.tensor([[0, 1, 1]]))
    kind = kind_of(task_with(None), predictions, batch)
    assert caption(kind, batch, predictions, NAMES) == "1 annotated, 2 found"


def test_a_caption_is_made_of_the_row() -> None:
    kind = Kind(row=lambda predictions, names: {"degrees": predictions.angles.item(), "name": names[1]})
    assert caption(kind, CLASSES, OwnPredictions(torch.tensor([1 / 3])), NAMES) == "degrees 0.3333, name dog"
    assert caption(Kind(), CLASSES, FOUND, NAMES) == ""


@pytest.mark.parametrize(
    ("true", "predicted"),
    [(IDS, torch.zeros(2, 2)), (torch.zeros(2, 2), IDS), (IDS, None), (None, IDS)],
)
def test_only_one_class_per_image_makes_pairs(true: Tensor | None, predicted: Tensor | None) -> None:
    batch, predictions = SimpleNamespace(labels=IDS), SimpleNamespace(labels=IDS + 1)
    pairs = class_pairs(predictions, batch)
    assert pairs is not None
    assert [labels.tolist() for labels in pairs] == [[0, 1], [1, 2]]
    assert class_pairs(SimpleNamespace(labels=predicted), SimpleNamespace(labels=true)) is None
    assert class_pairs(IDS, batch) is None
