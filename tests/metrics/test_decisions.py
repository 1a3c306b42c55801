import math
import warnings

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.classification import multilabel_average_precision, multilabel_f1_score

from visiontasks.metrics.decisions import AveragePrecision, DecisionScores


def precision_in_loops(probabilities: list[float], present: list[int]) -> float:
    """Average the precision at the rank of each image that has the class; no two probabilities are equal."""
    ranked = sorted(zip(probabilities, present, strict=True), reverse=True)
    precisions = [sum(y for _, y in ranked[: rank + 1]) / (rank + 1) for rank, (_, y) in enumerate(ranked) if y]
    return sum(precisions) / len(precisions) if precisions else math.nan


def random_decisions() -> tuple[Tensor, Tensor, Tensor]:
    probabilities, present = torch.rand(40, 5), torch.randint(2, (40, 5), dtype=torch.uint8)
    present[:, 3] = 0
    return probabilities, present, (probabilities >= torch.tensor([0.2, 0.4, 0.5, 2.0, 0.8])).to(torch.uint8)


def test_average_precision_is_what_its_definition_says() -> None:
    probabilities, present, _ = random_decisions()
    metric = AveragePrecision()
    for part in torch.arange(40).split(9):
        metric.update(probabilities[part], present[part])
    found = metric.compute()
    expected = [precision_in_loops(*(x[:, c].tolist() for x in (probabilities, present))) for c in range(5)]
    assert found["ap"].tolist() == pytest.approx(expected, nan_ok=True)
    assert found["map"].item() == pytest.approx(sum(expected[:3] + expected[4:]) / 4)


def test_average_precision_is_torchmetrics_with_ties() -> None:
    probabilities, present, _ = random_decisions()
    metric = AveragePrecision()
    metric.update(probabilities.mul(5).round() / 5, present)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a class that does not occur
        expected = multilabel_average_precision(
            probabilities.mul(5).round() / 5, present.long(), num_labels=5, average=None
        )
    found = metric.compute()["ap"]
    assert found.isnan().tolist() == [False, False, False, True, False]
    torch.testing.assert_close(found.nan_to_num(), expected.nan_to_num())


def test_the_mean_may_be_all_that_is_wanted() -> None:
    metric = AveragePrecision(each=False)
    metric.update(torch.tensor([[0.9], [0.1]]), torch.tensor([[0], [1]]))
    assert metric.compute() == {"map": torch.tensor(0.5)}


def test_decisions_are_scored_by_class() -> None:
    probabilities, present, said = random_decisions()
    metric = DecisionScores(5)
    for part in torch.arange(40).split(9):
        metric.update(probabilities[part], present[part], decisions=said[part])
    found = metric.compute()
    # Class 3 neither occurs nor is said, and has no F1.
    expected = multilabel_f1_score(said, present, num_labels=5, average="none")
    assert found["f1"].item() == pytest.approx((expected.sum() / 4).item())
    assert found["accuracy"].item() == pytest.approx((said == present).float().mean().item())
