import math

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from visiontasks.metrics.calibration import CalibrationError, fit_temperature


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_one_class_per_image_is_scored_as_torchmetrics_does(bins: int) -> None:
    probabilities, labels = (2 * torch.randn(83, 4)).softmax(1), torch.randint(4, (83,))
    error = CalibrationError(bins)
    for part in torch.arange(83).split(20):
        error.update(probabilities[part], labels[part])
    expected = multiclass_calibration_error(probabilities, labels, num_classes=4, n_bins=bins, norm="l1")
    torch.testing.assert_close(error.compute(), expected)


def test_several_classes_are_scored_as_torchmetrics_does() -> None:
    probabilities, present = torch.rand(50, 3), torch.randint(2, (50, 3))
    error = CalibrationError()
    error.update(probabilities, present)
    expected = binary_calibration_error(probabilities.flatten(), present.flatten(), n_bins=15, norm="l1")
    torch.testing.assert_close(error.compute(), expected)


def test_certainty_has_a_bin_and_bins_say_what_they_hold() -> None:
    error = CalibrationError(bins=4)
    error.update(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.4]]), torch.tensor([0, 1, 0]))
    counts, confidence, accuracy = error.reliability()
    assert counts.tolist() == [0, 0, 1, 2]
    assert confidence.tolist() == pytest.approx([math.nan, math.nan, 0.6, 1], nan_ok=True)
    assert accuracy.tolist() == pytest.approx([math.nan, math.nan, 1, 0.5], nan_ok=True)
    assert error.compute().item() == pytest.approx((0.4 + 2 * 0.5) / 3)


def likelihood(logits: Tensor, labels: Tensor, temperature: float) -> float:
    """Compute the mean negative log-likelihood in a plain loop."""
    total = 0.0
    for row, label in zip((logits.double() / temperature).tolist(), labels.tolist(), strict=True):
        if isinstance(label, list):
            total += sum(math.log1p(math.exp(-z if y else z)) for z, y in zip(row, label, strict=True))
        else:
            total += math.log(sum(math.exp(z) for z in row)) - row[label]
    return total / len(labels)


@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("several", [False, True])
def test_the_temperature_is_the_likeliest(factor: float, several: bool) -> None:
    logits = torch.randn(400, 3)
    drawn = logits.sigmoid().bernoulli().long() if several else logits.softmax(1).multinomial(1)[:, 0]
    temperature = fit_temperature(factor * logits, drawn)
    # The labels were drawn from the probabilities of the logits.
    assert temperature == pytest.approx(factor, rel=0.25)
    best = likelihood(factor * logits, drawn, temperature)
    for other in (0.99, 1.01):
        assert best < likelihood(factor * logits, drawn, other * temperature)


def test_temperatures_have_bounds_where_everything_is_right_or_wrong() -> None:
    logits = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    assert 0.05 <= fit_temperature(logits, torch.tensor([0, 1])) < 0.1
    assert fit_temperature(logits, torch.tensor([1, 0])) == pytest.approx(20)
