import pytest
import torch
from torch import Tensor

from visiontasks.metrics.thresholds import best_f1_thresholds


def f1(probabilities: Tensor, present: Tensor, threshold: float) -> float:
    said = probabilities >= threshold
    right = int((said & (present == 1)).sum())
    return 2 * right / max(int(said.sum()) + int(present.sum()), 1)


@pytest.mark.parametrize("digits", [1, 6])
def test_no_other_threshold_is_better(digits: int) -> None:
    present = torch.randint(2, (60, 4))
    # With one digit many probabilities are equal.
    probabilities = (0.3 * present + 0.7 * torch.rand(60, 4)).round(decimals=digits)
    thresholds = best_f1_thresholds(probabilities, present)
    for label in range(4):
        found = f1(probabilities[:, label], present[:, label], float(thresholds[label]))
        tried = [f1(probabilities[:, label], present[:, label], step / 200) for step in range(201)]
        assert found >= max(tried)
        assert found > f1(probabilities[:, label], present[:, label], 1.0)


def test_a_class_without_images_keeps_one_half_and_one_everywhere_is_always_said() -> None:
    probabilities = torch.tensor([[0.2, 0.3], [0.4, 0.6]])
    thresholds = best_f1_thresholds(probabilities, torch.tensor([[0, 1], [0, 1]]))
    assert thresholds.tolist() == pytest.approx([0.5, 0.15])
