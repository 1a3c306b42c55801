import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from visiontasks.description import ClassCounts
from visiontasks.errors import ArgumentError
from visiontasks.losses.classification import Mode, balanced_weights, check_mode, classification_loss


def decisions_in_loops(
    logits: Tensor, shares: Tensor, no: list[float], yes: list[float], smoothing: float, gamma: float
) -> float:
    losses: list[float] = []
    for row, targets in zip(logits.tolist(), shares.tolist(), strict=True):
        for z, y, weight_no, weight_yes in zip(row, targets, no, yes, strict=True):
            p, share = 1 / (1 + math.exp(-z)), y * (1 - smoothing) + smoothing / 2
            right, wrong = (1 - p) ** gamma * math.log(p), p**gamma * math.log(1 - p)
            losses.append(-weight_yes * share * right - weight_no * (1 - share) * wrong)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 4.0]])
@pytest.mark.parametrize("mixed", [False, True])
def test_multilabel_is_the_mean_over_images_and_classes(
    gamma: float, smoothing: float, weights: list[float] | None, mixed: bool
) -> None:
    logits = torch.randn(5, 3)
    labels = torch.rand(5, 3) if mixed else torch.randint(2, (5, 3), dtype=torch.uint8)
    tensor = None if weights is None else torch.tensor(weights)
    loss = classification_loss(logits, labels, "multilabel", tensor, smoothing, gamma)
    expected = decisions_in_loops(logits, labels, [1.0] * 3, weights or [1.0] * 3, smoothing, gamma)
    assert loss.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("weights", [None, [0.5, 4.0]])
@pytest.mark.parametrize("mixed", [False, True])
def test_binary_is_of_the_second_class(gamma: float, weights: list[float] | None, mixed: bool) -> None:
    logits, classes = torch.randn(6, 1), torch.randint(2, (6,))
    labels = torch.rand(6, 2).softmax(1) if mixed else classes
    shares = labels[:, 1:] if mixed else labels[:, None]
    tensor = None if weights is None else torch.tensor(weights)
    no, yes = weights or [1.0, 1.0]
    loss = classification_loss(logits, labels, "binary", tensor, 0.1, gamma)
    assert loss.item() == pytest.approx(decisions_in_loops(logits, shares, [no], [yes], 0.1, gamma), rel=1e-4)


def test_binary_is_multiclass_of_two_whose_logits_differ_as_much() -> None:
    logits, labels, weights = torch.randn(6, 1), torch.randint(2, (6,)), torch.tensor([0.5, 3.0])
    both = torch.cat((torch.zeros(6, 1), logits), 1)
    for gamma in (0.0, 1.5):
        torch.testing.assert_close(
            classification_loss(logits, labels, "binary", weights, focal_gamma=gamma),
            classification_loss(both, labels, "multiclass", weights, focal_gamma=gamma),
        )


@pytest.mark.parametrize("mode", ["multiclass", "binary", "multilabel"])
def test_shares_of_one_class_are_that_class(mode: Mode) -> None:
    labels = torch.randint(2, (6,))
    given = one_hot(labels, 2) if mode == "multilabel" else labels
    logits = torch.randn(6, 1 if mode == "binary" else 2)
    options: Any = {"class_weights": torch.tensor([0.5, 3.0]), "label_smoothing": 0.1, "focal_gamma": 2.0}
    expected = classification_loss(logits, given, mode, **options)
    torch.testing.assert_close(classification_loss(logits, one_hot(labels, 2).float(), mode, **options), expected)


def test_balanced_weights_give_every_class_the_same_part_of_the_loss() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    weights = balanced_weights(ClassCounts(10, torch.bincount(labels)))
    # scikit-learn: n_samples / (n_classes * np.bincount(y))
    torch.testing.assert_close(weights, torch.tensor([10 / 18, 10 / 9, 10 / 3]))
    parts = torch.zeros(3).index_add(0, labels, weights[labels])
    torch.testing.assert_close(parts, parts.mean().expand(3))
    assert weights[labels].mean().item() == pytest.approx(1)


def test_balanced_weights_of_decisions_make_up_for_rare_ones() -> None:
    counts = ClassCounts(10, torch.tensor([2, 5, 0, 10]))
    assert balanced_weights(counts, "multilabel").tolist() == pytest.approx([4.0, 1.0, 10.0, 0.1])
    assert balanced_weights(ClassCounts(10, torch.tensor([10, 0]))).tolist() == pytest.approx([0.5, 5.0])


@pytest.mark.parametrize(
    ("mode", "classes", "message"),
    [
        ("multilable", 3, r"mode is 'multilable'\. Did you mean 'multilabel' or"),
        ("binary", 3, "num_classes is 3; expected 2, the second of which is the positive one"),
        ("multilabel", 0, "num_classes is 0; expected at least 1"),
    ],
)
def test_modes_that_do_not_exist_or_fit_are_an_error(mode: str, classes: int, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        check_mode(mode, classes)


def test_rows_of_whole_numbers_are_for_several_classes() -> None:
    rows = torch.eye(3, dtype=torch.uint8)
    with pytest.raises(ArgumentError, match=r"shape \[3, 3\], a row for each image, and mode is 'multiclass'"):
        classification_loss(torch.zeros(3, 3), rows)
    assert classification_loss(torch.zeros(3, 3), rows, "multilabel").isfinite()
