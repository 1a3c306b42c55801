"""The losses of pixels against loops over the pixels, and against torch where it has them."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from visiontasks.errors import ArgumentError
from visiontasks.losses.cross_entropy import (
    pixel_binary_cross_entropy,
    pixel_binary_focal,
    pixel_cross_entropy,
    pixel_focal,
)
from visiontasks.losses.dice import binary_dice_loss, dice_loss
from visiontasks.losses.lovasz import binary_lovasz, lovasz_extension, lovasz_softmax
from visiontasks.losses.segmentation import SegmentationLoss

WEIGHTS = torch.tensor([1.0, 0.5, 4.0, 2.0])
EXCLUSIVE = [pixel_cross_entropy, pixel_focal, dice_loss, lovasz_softmax]
INDEPENDENT = [pixel_binary_cross_entropy, pixel_binary_focal, binary_dice_loss, binary_lovasz]


def pixels() -> tuple[Tensor, Tensor]:
    """Make logits of four classes, of which the last does not occur, and masks with ignored pixels."""
    masks = torch.randint(0, 3, (2, 5, 7), dtype=torch.uint8)
    masks[0, :2] = 255
    return 2 * torch.randn(2, 4, 5, 7), masks


def layers() -> tuple[Tensor, Tensor]:
    masks = torch.randint(0, 2, (2, 4, 5, 7), dtype=torch.uint8)
    masks[:, 3] = 0
    masks[1, :, 4] = 255
    return 2 * torch.randn(2, 4, 5, 7), masks


def rows(logits: Tensor, masks: Tensor) -> list[tuple[list[float], int]]:
    """List the probabilities and the class of each pixel that counts."""
    flat = logits.double().softmax(1).permute(0, 2, 3, 1).reshape(-1, logits.shape[1])
    return [(p, c) for p, c in zip(flat.tolist(), masks.flatten().tolist(), strict=True) if c != 255]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_cross_entropy_is_torch_s_mean(weights: Tensor | None, smoothing: float) -> None:
    logits, masks = pixels()
    expected = F.cross_entropy(logits, masks.long(), weights, ignore_index=255, label_smoothing=smoothing)
    torch.testing.assert_close(pixel_cross_entropy(logits, masks, weights, smoothing), expected)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_focal_loss_in_a_loop(weights: Tensor | None, gamma: float) -> None:
    logits, masks = pixels()
    total = count = 0.0
    for probabilities, label in rows(logits, masks):
        weight = 1.0 if weights is None else weights[label].item()
        total -= weight * (1 - probabilities[label]) ** gamma * math.log(probabilities[label])
        count += weight
    assert pixel_focal(logits, masks, weights, gamma).item() == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("loss", [*EXCLUSIVE, *INDEPENDENT], ids=lambda loss: loss.__name__)
def test_a_loss_is_exact_on_many_pixels(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    masks = torch.randint(0, 2, (6, 512, 512), dtype=torch.uint8)
    logits = 2.2 * F.one_hot(masks.long(), 2).permute(0, 3, 1, 2) + 0.1 * torch.randn(6, 2, 512, 512)
    if loss in INDEPENDENT:
        masks = torch.stack((1 - masks, masks), 1)
    assert loss(logits, masks).item() == pytest.approx(loss(logits.double(), masks).item(), rel=1e-6)


def test_dice_in_a_loop() -> None:
    logits, masks = pixels()
    coefficients = []
    for label in range(4):
        shared = sum(p[label] for p, c in rows(logits, masks) if c == label)
        both = sum(p[label] + (c == label) for p, c in rows(logits, masks))
        if any(c == label for _, c in rows(logits, masks)):
            coefficients.append(1 - 2 * shared / both)
    assert len(coefficients) == 3
    assert dice_loss(logits, masks).item() == pytest.approx(sum(coefficients) / 3, rel=1e-5)


def sorted_lovasz(errors: Tensor, foreground: Tensor) -> Tensor:
    """Compute the extension as the paper's algorithm 1 does it, by sorting."""
    errors, order = errors.sort(descending=True)
    hits = foreground[order].double()
    jaccard = 1 - (hits.sum() - hits.cumsum(0)) / (hits.sum() + (1 - hits).cumsum(0))
    return (errors * torch.diff(jaccard, prepend=jaccard.new_zeros(1))).sum()


@pytest.mark.parametrize("count", [1, 50, 20_000])
def test_lovasz_by_counting_is_lovasz_by_sorting(count: int) -> None:
    errors = (torch.rand(count, dtype=torch.float64) ** 3).requires_grad_()
    foreground = torch.rand(count) < 0.2
    foreground[0] = True
    ours, paper = lovasz_extension(errors, foreground), sorted_lovasz(errors, foreground)
    assert ours.item() == pytest.approx(paper.item(), abs=1e-4)
    (gradient,), (expected,) = torch.autograd.grad(ours, errors), torch.autograd.grad(paper, errors)
    assert torch.nn.functional.cosine_similarity(gradient, expected, 0) > 0.999
    assert gradient.sum().item() == pytest.approx(expected.sum().item(), rel=1e-6)


def test_lovasz_of_certain_predictions_is_one_less_the_iou() -> None:
    predicted = torch.randint(0, 3, (2, 6, 8))
    masks = torch.randint(0, 3, (2, 6, 8), dtype=torch.uint8)
    masks[0, 0] = 255
    logits = 1000 * F.one_hot(predicted, 3).permute(0, 3, 1, 2).float()
    counted = masks != 255
    ious = [
        (((predicted == c) & (masks == c)).sum() / (((predicted == c) & counted) | (masks == c)).sum()).item()
        for c in range(3)
    ]
    assert lovasz_softmax(logits, masks).item() == pytest.approx(1 - sum(ious) / 3, abs=1e-6)


def test_independent_losses_in_a_loop() -> None:
    logits, masks = layers()
    entropy = focal = count = 0.0
    for score, target, weight in zip(
        logits.double().flatten().tolist(),
        masks.flatten().tolist(),
        WEIGHTS[:, None, None].expand_as(logits).flatten().tolist(),
        strict=True,
    ):
        if target != 255:
            probability = 1 / (1 + math.exp(-score))
            right = probability if target else 1 - probability
            entropy -= weight * math.log(right)
            focal -= weight * (1 - right) ** 2 * math.log(right)
            count += weight
    assert pixel_binary_cross_entropy(logits, masks, WEIGHTS).item() == pytest.approx(entropy / count, rel=1e-5)
    assert pixel_binary_focal(logits, masks, WEIGHTS).item() == pytest.approx(focal / count, rel=1e-5)


@pytest.mark.parametrize("mode", ["binary", "multilabel"])
def test_labels_are_smoothed_towards_an_even_chance(mode: Any) -> None:  # noqa: ANN401 - one of the modes
    logits, masks = layers()
    if mode == "binary":
        logits, masks = logits[:, :1], masks[:, 0]
    (found,) = SegmentationLoss("cross_entropy", mode, label_smoothing=0.2)(logits, masks).values()
    counted = masks.view_as(logits) != 255
    p, t = logits[counted].sigmoid().double(), masks.view_as(logits)[counted].double()
    t = torch.where(t == 1, 0.9, 0.1)
    assert found.item() == pytest.approx(-(t * p.log() + (1 - t) * (1 - p).log()).mean().item(), rel=1e-5)


def test_independent_dice_and_lovasz_are_those_of_each_class_alone() -> None:
    logits, masks = layers()
    dice, lovasz = [], []
    for label in range(3):
        chosen = masks[:, label] != 255
        p, t = logits[:, label][chosen].sigmoid().double(), masks[:, label][chosen] == 1
        dice.append((1 - 2 * p[t].sum() / (p.sum() + t.sum())).item())
        lovasz.append(sorted_lovasz((p - t.double()).abs(), t).item())
    assert binary_dice_loss(logits, masks).item() == pytest.approx(sum(dice) / 3, rel=1e-5)
    assert binary_lovasz(logits, masks).item() == pytest.approx(sum(lovasz) / 3, abs=1e-4)


@pytest.mark.parametrize(("name", "loss"), [("cross_entropy", pixel_cross_entropy), ("focal", pixel_focal)])
def test_two_classes_are_one_decision(name: str, loss: Callable[..., Tensor]) -> None:
    scores, masks = torch.randn(2, 1, 5, 7), torch.randint(0, 2, (2, 5, 7), dtype=torch.uint8)
    both = torch.cat([torch.zeros_like(scores), scores], 1)
    weights = torch.tensor([0.5, 3.0])
    (found,) = SegmentationLoss(name, "binary")(scores, masks, weights).values()
    torch.testing.assert_close(found, loss(both, masks, weights))


@pytest.mark.parametrize("loss", [*EXCLUSIVE, *INDEPENDENT])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_where_nothing_counts_the_loss_is_zero_and_teaches_nothing(
    loss: Callable[..., Tensor], weights: Tensor | None
) -> None:
    logits = torch.randn(2, 4, 3, 3, requires_grad=True)
    shape = (2, 3, 3) if loss in EXCLUSIVE else (2, 4, 3, 3)
    value = loss(logits, torch.full(shape, 255, dtype=torch.uint8), weights)
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().sum() == 0


@pytest.mark.parametrize("loss", [*EXCLUSIVE, *INDEPENDENT])
def test_ignored_pixels_change_nothing(loss: Callable[..., Tensor]) -> None:
    logits, masks = pixels() if loss in EXCLUSIVE else layers()
    expected = loss(logits, masks, WEIGHTS)
    ignored = (masks == 255) if masks.ndim == 4 else (masks == 255)[:, None]
    torch.testing.assert_close(
        loss(torch.where(ignored, 50 * torch.randn_like(logits), logits), masks, WEIGHTS), expected
    )


@pytest.mark.parametrize("loss", [*EXCLUSIVE, *INDEPENDENT])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_certain_and_wrong_predictions_have_a_finite_loss(loss: Callable[..., Tensor], dtype: torch.dtype) -> None:
    logits, masks = pixels() if loss in EXCLUSIVE else layers()
    certain = (logits * 1e4).to(dtype).requires_grad_()
    value = loss(certain, masks, None)
    value.backward()
    assert value.isfinite()
    assert certain.grad is not None
    assert certain.grad.isfinite().all()


def test_terms_are_named_and_weighted() -> None:
    logits, masks = pixels()
    terms = SegmentationLoss({"cross_entropy": 2.0, "lovasz": 0.5})(logits, masks, WEIGHTS)
    assert list(terms) == ["cross_entropy", "lovasz"]
    torch.testing.assert_close(terms["cross_entropy"], 2 * pixel_cross_entropy(logits, masks, WEIGHTS))
    torch.testing.assert_close(terms["lovasz"], 0.5 * lovasz_softmax(logits, masks, WEIGHTS))


@pytest.mark.parametrize(("mode", "wrong"), [("multiclass", 4), ("binary", 2), ("multilabel", 2)])
def test_a_label_out_of_range_makes_the_loss_nan(mode: str, wrong: int) -> None:
    logits = torch.randn(2, 1 if mode == "binary" else 4, 5, 7)
    masks = torch.zeros(*((2, 4) if mode == "multilabel" else (2,)), 5, 7, dtype=torch.uint8)
    loss = SegmentationLoss({"cross_entropy": 1.0, "focal": 1.0, "dice": 1.0, "lovasz": 1.0}, mode)  # type: ignore[arg-type]
    assert all(term.isfinite() for term in loss(logits, masks).values())
    masks[..., 2, 3] = wrong
    assert all(term.isnan() for term in loss(logits, masks).values())


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"dise": 1.0}, "There is no loss 'dise'. Did you mean 'dice'"),
        ({"dice": 0.0}, "factor of the loss 'dice' is 0.0; expected a positive"),
        ({}, "at least one loss"),
    ],
)
def test_wrong_losses_are_an_error(loss: dict[str, float], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        SegmentationLoss(loss)
