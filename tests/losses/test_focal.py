import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from visiontasks.losses.focal import binary_focal_loss, focal_loss

WEIGHTS = torch.tensor([1.0, 0.5, 4.0])


def focal_in_loops(logits: Tensor, shares: Tensor, gamma: float, weights: list[float]) -> list[float]:
    """Follow the definition for every place of [places, classes]."""
    losses = []
    for row, share in zip(logits.tolist(), shares.tolist(), strict=True):
        total = sum(math.exp(value) for value in row)
        p = [math.exp(value) / total for value in row]
        losses.append(
            sum(-w * s * (1 - q) ** gamma * math.log(q) for w, s, q in zip(weights, share, p, strict=True) if s)
        )
    return losses


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_classes_are_scored_by_the_definition(gamma: float, weights: Tensor | None, smoothing: float) -> None:
    logits, labels = torch.randn(7, 3), torch.arange(7) % 3
    shares = F.one_hot(labels, 3) * (1 - smoothing) + smoothing / 3
    expected = focal_in_loops(logits, shares, gamma, [1.0] * 3 if weights is None else weights.tolist())
    assert focal_loss(logits, labels, gamma, weights, smoothing).tolist() == pytest.approx(expected, rel=1e-4)
    mixed = torch.rand(7, 3).softmax(1)
    expected = focal_in_loops(logits, mixed, gamma, [1.0] * 3 if weights is None else weights.tolist())
    assert focal_loss(logits, mixed, gamma, weights).tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_pixels_are_scored_like_images_and_ignored_ones_are_0(gamma: float, smoothing: float) -> None:
    logits = torch.randn(2, 3, 4, 5)
    masks = torch.randint(3, (2, 4, 5), dtype=torch.uint8)
    masks[0, 1] = 255
    found = focal_loss(logits, masks, gamma, WEIGHTS, smoothing, ignore_index=255)
    counted = masks != 255
    assert found.shape == (2, 4, 5)
    assert (found[~counted] == 0).all()
    rows = logits.movedim(1, -1)[counted]
    torch.testing.assert_close(found[counted], focal_loss(rows, masks[counted].long(), gamma, WEIGHTS, smoothing))


def test_gamma_0_is_the_cross_entropy() -> None:
    logits, labels = torch.randn(5, 3), torch.randint(3, (5,))
    expected = F.cross_entropy(logits, labels, WEIGHTS, reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(focal_loss(logits, labels, 0.0, WEIGHTS, 0.1), expected)
    torch.testing.assert_close(focal_loss(logits, labels, 1e-7, WEIGHTS, 0.1), expected)


@pytest.mark.parametrize("gamma", [0.0, 2.0, 3.5])
def test_decisions_are_scored_as_torchvision_does(gamma: float) -> None:
    logits, targets = 3 * torch.randn(6, 4), torch.randint(2, (6, 4), dtype=torch.uint8)
    expected = sigmoid_focal_loss(logits, targets.float(), alpha=0.25, gamma=gamma)
    found = binary_focal_loss(logits, targets, gamma, weights=(0.75, 0.25))
    torch.testing.assert_close(found, expected)


def test_weights_of_decisions_are_torch_s_pos_weight() -> None:
    logits, targets = torch.randn(6, 3), torch.randint(2, (6, 3))
    smoothed = targets * 0.9 + 0.05
    expected = F.binary_cross_entropy_with_logits(logits, smoothed, pos_weight=WEIGHTS, reduction="none")
    torch.testing.assert_close(binary_focal_loss(logits, targets, 0.0, (1.0, WEIGHTS), 0.1), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("size", [50.0, 1e4])
def test_certainty_has_finite_gradients(gamma: float, size: float) -> None:
    logits = torch.tensor([[size, 0.0, -size], [-size, 0.0, size]], requires_grad=True)
    labels = torch.tensor([0, 0])
    losses = [focal_loss(logits, labels, gamma), focal_loss(logits, labels, gamma, label_smoothing=0.1)]
    losses.append(binary_focal_loss(logits, F.one_hot(labels, 3), gamma).sum(1))
    for loss in losses:
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert torch.isfinite(loss).all()
        assert torch.isfinite(gradient).all()
        # What is wrong and certain of it still learns.
        assert gradient[1].abs().max() > 0.5


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_gradients_are_those_of_finite_differences(gamma: float) -> None:
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    labels, present = torch.tensor([0, 3, 1]), torch.randint(2, (3, 4))
    assert torch.autograd.gradcheck(lambda x: focal_loss(x, labels, gamma), logits)
    assert torch.autograd.gradcheck(lambda x: focal_loss(x, labels, gamma, label_smoothing=0.1), logits)
    assert torch.autograd.gradcheck(lambda x: binary_focal_loss(x, present, gamma), logits)
