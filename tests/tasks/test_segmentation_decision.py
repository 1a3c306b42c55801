"""Where a segmentation decides: from outputs to probabilities, to classes, and back."""

from typing import Any

import pytest
import torch

from visiontasks import SegmentationTask

SMALL: dict[str, Any] = {"backbone_options": {"filters": [4, 8], "depth": 1}}


@pytest.mark.parametrize(
    ("mode", "probabilities", "labels", "scores"),
    [
        ("multiclass", [0.2, 0.5, 0.3], 1, 0.5),
        ("binary", [0.3], 1, 0.3),
        ("binary", [0.2], 0, 0.8),
        ("multilabel", [0.2, 0.25, 0.9], [0, 1, 1], [0.2, 0.25, 0.9]),
    ],
)
def test_classes_are_decided_by_the_threshold(mode: Any, probabilities: list[float], labels: Any, scores: Any) -> None:  # noqa: ANN401 - one or several
    task = SegmentationTask(2 if mode == "binary" else 3, mode=mode, threshold=0.25, **SMALL)
    decided = task.decide(torch.tensor(probabilities)[None, :, None, None].expand(1, -1, 2, 3))
    assert decided.labels.dtype == torch.uint8
    assert decided.labels[0, ..., 1, 2].tolist() == labels
    assert decided.scores[0, ..., 1, 2].tolist() == pytest.approx(scores)
    assert decided.labels.shape == ((1, 3, 2, 3) if mode == "multilabel" else (1, 2, 3))


@pytest.mark.parametrize("mode", ["multiclass", "binary", "multilabel"])
def test_a_mean_of_certain_probabilities_has_finite_logits(mode: Any) -> None:  # noqa: ANN401 - a literal
    task = SegmentationTask(2, mode=mode, **SMALL)
    certain = torch.tensor([0.0, 1.0] if mode == "multiclass" else [1.0] if mode == "binary" else [1.0, 0.0])
    probabilities = certain[None, :, None, None].expand(1, len(certain), 2, 2)
    logits = task.logits(probabilities)
    assert logits.isfinite().all()
    torch.testing.assert_close(task.probabilities(logits), probabilities)
