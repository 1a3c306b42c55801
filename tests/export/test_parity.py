import math

import pytest
import torch
from torch import Tensor

from visiontasks.errors import ExportError
from visiontasks.export.parity import compare

VALUES = {"scores": torch.tensor([0.25, 0.5]), "labels": torch.tensor([1, 2])}
DETECTIONS = {
    "boxes": torch.tensor([[[0.0, 0, 10, 10], [20, 20, 40, 40], [0, 0, 0, 0]]]),
    "scores": torch.tensor([[0.9, 0.6, 0.0]]),
    "labels": torch.tensor([[1, 0, -1]]),
}


def changed(values: dict[str, Tensor], name: str, place: tuple[int, ...], value: float) -> dict[str, Tensor]:
    copies = {key: tensor.clone() for key, tensor in values.items()}
    copies[name][place] = value
    return copies


def test_differences_are_those_of_the_values() -> None:
    found = compare(VALUES, changed(VALUES, "scores", (1,), 0.5005), "a.onnx")
    assert found == pytest.approx({"scores": 0.0005, "labels": 0.0}, abs=1e-7)


@pytest.mark.parametrize(("name", "value"), [("scores", 0.6), ("scores", float("nan")), ("labels", 0)])
def test_other_values_are_refused(name: str, value: float) -> None:
    with pytest.raises(ExportError, match=rf"'a.onnx' computes other {name} than the task"):
        compare(VALUES, changed(VALUES, name, (1,), value), "a.onnx")


def test_another_shape_is_refused() -> None:
    with pytest.raises(ExportError, match="of shape"):
        compare(VALUES, {**VALUES, "scores": torch.zeros(3)}, "a.onnx")


def test_detections_are_compared_in_any_order() -> None:
    swapped = {name: values[:, [1, 0, 2]] for name, values in DETECTIONS.items()}
    assert compare(DETECTIONS, swapped, "a.onnx", score=0.05) == {"boxes": 0.0, "scores": 0.0, "labels": 0.0}


def test_a_detection_at_the_least_score_may_be_missing() -> None:
    gone = changed(changed(DETECTIONS, "labels", (0, 1), -1), "scores", (0, 1), 0.0)
    assert compare(DETECTIONS, gone, "a.onnx", score=0.5995)["labels"] == 0.0
    with pytest.raises(ExportError, match="other labels"):
        compare(DETECTIONS, gone, "a.onnx", score=0.05)


@pytest.mark.parametrize(
    ("name", "place", "value"), [("labels", (0, 0), 2), ("boxes", (0, 1, 3), 40.5), ("scores", (0, 1), 0.61)]
)
def test_other_detections_are_refused(name: str, place: tuple[int, ...], value: float) -> None:
    with pytest.raises(ExportError, match=f"other {name}"):
        compare(DETECTIONS, changed(DETECTIONS, name, place, value), "a.onnx", score=0.05)


def test_where_nothing_is_found_nothing_is_compared() -> None:
    nothing = {name: torch.zeros_like(values) for name, values in DETECTIONS.items()} | {
        "labels": torch.full((1, 3), -1)
    }
    assert all(math.isnan(value) for value in compare(nothing, nothing, "a.onnx", score=0.05).values())
    with pytest.raises(ExportError, match="other labels"):
        compare(nothing, DETECTIONS, "a.onnx", score=0.05)


def test_a_box_that_is_no_number_is_refused() -> None:
    with pytest.raises(ExportError, match="other labels"):
        compare(DETECTIONS, changed(DETECTIONS, "boxes", (0, 1, 3), float("nan")), "a.onnx", score=0.05)


@pytest.mark.parametrize(("other", "refused"), [(2, False), (3, True)])
def test_one_label_in_a_thousand_may_differ(other: int, refused: bool) -> None:
    labels = torch.zeros(2000, dtype=torch.int64)
    found = labels.clone()
    found[:other] = 1
    if refused:
        with pytest.raises(ExportError, match="other labels"):
            compare({"labels": labels}, {"labels": found}, "a.onnx")
    else:
        assert compare({"labels": labels}, {"labels": found}, "a.onnx") == {"labels": 1e-3}


@pytest.mark.parametrize(("bottom", "differing"), [(9.2, "boxes"), (8.8, "labels")])
def test_a_box_with_less_than_nine_tenths_in_common_is_another(bottom: float, differing: str) -> None:
    with pytest.raises(ExportError, match=f"other {differing}"):
        compare(DETECTIONS, changed(DETECTIONS, "boxes", (0, 0, 3), bottom), "a.onnx", score=0.05)
