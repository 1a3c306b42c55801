import pytest
import torch
from torch import nn
from torch.optim import SGD, Adadelta, Adam, AdamW, Optimizer

from visiontasks.tasks.optimization import exempt_from_decay, fuse, scale_rate
from visiontasks.tasks.optimizer_options import describe_optimizer, given_options


def test_how_an_update_is_computed_is_no_option_that_was_given() -> None:
    optimizer = AdamW([nn.Parameter(torch.zeros(2, 2))])
    before = given_options(optimizer)
    fuse(optimizer)
    assert optimizer.param_groups[0]["fused"]
    assert given_options(optimizer) == before


WEIGHT, BIAS = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2))


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (SGD([WEIGHT], lr=0.1), "SGD (lr 0.1)"),
        (SGD([WEIGHT], lr=0.1, momentum=0.9, nesterov=True), "SGD (lr 0.1, momentum 0.9, nesterov True)"),
        (Adam([WEIGHT]), "Adam (lr 0.001)"),
        (Adam([WEIGHT], betas=(0.5, 0.99)), "Adam (lr 0.001, betas (0.5, 0.99))"),
        (AdamW([WEIGHT]), "AdamW (lr 0.001)"),
        (AdamW([WEIGHT], weight_decay=0.05), "AdamW (lr 0.001, weight_decay 0.05)"),
        (Adadelta([WEIGHT]), "Adadelta (lr 1.0)"),
    ],
)
def test_an_optimizer_is_described_by_its_rate_and_what_is_not_its_default(optimizer: Optimizer, expected: str) -> None:
    fuse(optimizer)
    assert describe_optimizer(optimizer) == expected


def test_groups_are_told_apart() -> None:
    optimizer = AdamW([WEIGHT, BIAS], lr=0.1, weight_decay=0.05)
    scale_rate(optimizer, [WEIGHT], 0.5)
    exempt_from_decay(optimizer)
    assert describe_optimizer(optimizer) == "AdamW (lr 0.1 and 0.05, weight_decay 0.05 (norms and biases: 0))"
