from typing import Any

import pytest
import torch

from visiontasks.errors import ArgumentError
from visiontasks.heads.decision import Decision
from visiontasks.losses.classification import Mode
from visiontasks.metrics.calibration import fit_temperature
from visiontasks.metrics.thresholds import best_f1_thresholds


def test_a_temperature_changes_probabilities_and_no_class() -> None:
    decision, logits = Decision("multiclass", 4), torch.randn(9, 4)
    before = decision(logits)
    decision.temperature.fill_(2.5)
    after = decision(logits)
    torch.testing.assert_close(after.probabilities, (logits / 2.5).softmax(1))
    assert torch.equal(before.labels, after.labels)
    torch.testing.assert_close(after.scores, after.probabilities.amax(1))


def test_every_class_has_its_threshold() -> None:
    decision = Decision("multilabel", 3, [0.5, 0.1, 0.9])
    probabilities = torch.tensor([[0.5, 0.2, 0.8], [0.4, 0.05, 0.95]])
    predictions = decision(probabilities.logit())
    torch.testing.assert_close(predictions.probabilities, probabilities)
    assert predictions.labels.tolist() == [[1, 1, 0], [0, 0, 1]]
    assert predictions.labels.dtype == torch.uint8
    assert predictions.scores is predictions.probabilities


def test_one_logit_is_that_of_the_second_of_two_classes() -> None:
    predictions = Decision("binary", 2, 0.2)(torch.tensor([[0.25], [0.1]]).logit())
    torch.testing.assert_close(predictions.probabilities, torch.tensor([[0.75, 0.25], [0.9, 0.1]]))
    assert predictions.labels.tolist() == [1, 0]
    torch.testing.assert_close(predictions.scores, torch.tensor([0.25, 0.9]))


@pytest.mark.parametrize("mode", ["multilabel", "binary"])
def test_thresholds_are_fitted_to_the_probabilities_of_the_temperature(mode: Mode) -> None:
    count = 1 if mode == "binary" else 3
    logits, targets = 4 * torch.randn(80, count), torch.randint(2, (80, count))
    decision = Decision(mode, 2 if mode == "binary" else 3, "best_f1", calibrate=True)
    found = decision.fit(logits, targets[:, 0] if mode == "binary" else targets)
    temperature = fit_temperature(logits, targets)
    thresholds = best_f1_thresholds((logits / temperature).sigmoid(), targets)
    assert found["temperature"].item() == decision.temperature.item() == pytest.approx(temperature)
    torch.testing.assert_close(decision.thresholds, thresholds)
    assert found["threshold"].shape == (() if mode == "binary" else (3,))
    decision.reset()
    assert decision.temperature == 1
    assert (decision.thresholds == 0.5).all()


def test_what_is_not_to_be_fitted_stays() -> None:
    decision = Decision("multilabel", 3, 0.3)
    assert decision.fitted == []
    assert decision.fit(torch.randn(9, 3), torch.randint(2, (9, 3))) == {}
    decision.reset()
    assert decision.thresholds.tolist() == pytest.approx([0.3] * 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("multilabel", 3, [0.5, 0.5]), r"thresholds is \[0.5, 0.5\]; expected a number from 0 to 1, 3 of them, or"),
        (("multilabel", 3, 1.5), "thresholds is 1.5; expected a number from 0 to 1"),
        (("binary", 2, [0.5, 0.5]), "expected a number from 0 to 1, or 'best_f1'"),
        (("multilabel", 3, "best"), "thresholds is 'best'; expected"),
        (("multiclass", 3, 0.3), "mode 'multiclass' predicts the most probable class, without a threshold"),
        (("multiclass", 3, "best_f1"), "mode 'multiclass' predicts the most probable class, without a threshold"),
    ],
)
def test_thresholds_that_do_not_fit_are_an_error(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Decision(*arguments)
