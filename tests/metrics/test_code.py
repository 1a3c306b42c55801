import pytest
import torch
from torch import Tensor

from visiontasks.errors import ArgumentError
from visiontasks.metrics.code import CodeAccuracy, fit_linear, nearest_classes


def clusters(count: int, classes: int = 4, size: int = 6, spread: float = 0.7) -> tuple[Tensor, Tensor]:
    centres = torch.randn(classes, size, generator=torch.Generator().manual_seed(5))
    labels = torch.arange(count) % classes
    return centres[labels] + spread * torch.randn(count, size), labels


def nearest_in_loops(codes: Tensor, bank: Tensor, labels: Tensor, neighbours: int) -> list[int]:
    chosen = []
    for code in codes.tolist():
        similar = []
        for other, label in zip(bank.tolist(), labels.tolist(), strict=True):
            dot = sum(a * b for a, b in zip(code, other, strict=True))
            norms = sum(a * a for a in code) ** 0.5 * sum(b * b for b in other) ** 0.5
            similar.append((dot / norms, label))
        votes: dict[int, tuple[int, float]] = {}
        for similarity, label in sorted(similar, reverse=True)[:neighbours]:
            count, total = votes.get(label, (0, 0.0))
            votes[label] = (count + 1, total + similarity)
        chosen.append(max(votes, key=lambda label: votes[label]))
    return chosen


@pytest.mark.parametrize("neighbours", [1, 3, 5, 100])
def test_neighbours_vote_as_in_a_plain_loop(neighbours: int) -> None:
    bank, labels = clusters(60)
    codes, _ = clusters(25)
    found = nearest_classes(codes, bank, labels, neighbours)
    assert found.tolist() == nearest_in_loops(codes, bank, labels, min(neighbours, 60))


def test_only_the_angle_between_codes_counts() -> None:
    bank, labels = clusters(60)
    codes, _ = clusters(25)
    scale = torch.rand(60, 1) + 0.1
    assert torch.equal(nearest_classes(codes, bank, labels), nearest_classes(7 * codes, scale * bank, labels))


def test_the_probe_is_logistic_regression_at_its_optimum() -> None:
    codes, labels = clusters(200)
    codes = codes * torch.tensor([1.0, 100, 0.01, 1, 1, 1]) + 5
    probe = fit_linear(codes, labels, decay=1e-2)
    layer = probe.layer.clone().requires_grad_()
    probe.layer = layer
    loss = torch.nn.functional.cross_entropy(probe(codes), labels) + 1e-2 / 2 * layer[:, 1:].square().sum()
    (gradient,) = torch.autograd.grad(loss, layer)
    assert gradient.abs().max() < 1e-3
    assert (probe(codes).argmax(1) == labels).float().mean() > 0.8


def test_the_probe_is_fitted_in_inference_mode_too() -> None:
    codes, labels = clusters(40)
    with torch.inference_mode():
        inside = fit_linear(codes * 1, labels)(codes)
    assert torch.equal(inside, fit_linear(codes, labels)(codes))


def test_batches_and_their_order_do_not_matter() -> None:
    bank, labels = clusters(60)
    codes, truth = clusters(21)
    whole, parts = CodeAccuracy(), CodeAccuracy()
    whole.update(codes, truth)
    whole.remember(bank, labels)
    for start in (14, 0, 7):
        parts.update(codes[start : start + 7], truth[start : start + 7])
    for start in (0, 20, 40):
        parts.remember(bank[start : start + 20], labels[start : start + 20])
    assert whole.compute() == parts.compute()
    expected = (nearest_classes(codes, bank, labels) == truth).float().mean()
    assert whole.compute()["knn_accuracy"] == expected > 0.5


def test_images_without_a_class_do_not_count() -> None:
    bank, labels = clusters(40)
    codes, truth = clusters(10)
    plain, more = CodeAccuracy(), CodeAccuracy()
    plain.update(codes, truth)
    plain.remember(bank, labels)
    more.update(torch.cat([codes, torch.randn(5, 6)]), torch.cat([truth, torch.full((5,), -1)]))
    more.remember(torch.cat([bank, torch.randn(5, 6)]), torch.cat([labels, torch.full((5,), -1)]))
    assert plain.compute() == more.compute()


def test_without_labels_or_a_bank_there_is_nothing_to_tell() -> None:
    codes, labels = clusters(10)
    accuracy = CodeAccuracy()
    accuracy.update(codes, labels)
    assert accuracy.compute() == {}
    accuracy.remember(codes, torch.full((10,), -1))
    assert accuracy.compute() == {}


def test_neighbours_have_to_be_some() -> None:
    with pytest.raises(ArgumentError, match="neighbours is 0"):
        CodeAccuracy(0)
