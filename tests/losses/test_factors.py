import sys
from pathlib import Path

import pytest
import torch

from visiontasks import LocalizationTask
from visiontasks.errors import ArgumentError
from visiontasks.heads.localization import PooledHead
from visiontasks.losses.box import box_loss
from visiontasks.losses.factors import parse_factors
from visiontasks.losses.reconstruction import ReconstructionLoss
from visiontasks.losses.segmentation import SegmentationLoss

KNOWN = ["dice", "focal", "lovasz"]


def test_one_name_counts_once_and_several_have_factors() -> None:
    assert parse_factors("focal", KNOWN) == {"focal": 1.0}
    assert parse_factors({"dice": 0.5, "lovasz": 2}, KNOWN) == {"dice": 0.5, "lovasz": 2}


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("dize", "There is no loss 'dize'.*dice"),
        ({"dice": 1.0, "focal": 0.0}, "factor of the loss 'focal' is 0.0; expected a positive number"),
        ({"dice": float("nan")}, "expected a positive number"),
        ({}, "expected at least one loss of dice, focal, lovasz"),
    ],
)
def test_what_cannot_be_summed_is_an_error(loss: str | dict[str, float], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        parse_factors(loss, KNOWN)


SOURCE = """
import torch

def summed(logits, masks, class_weights=None):
    weight = 1.0 if class_weights is None else class_weights.sum()
    return logits.sum() * weight

class Summed(torch.nn.Module):
    def forward(self, logits, masks, class_weights):
        return summed(logits, masks)

def squared(reconstructed, target):
    return (reconstructed - target).square()

def absolute(predicted, target):
    return (predicted - target).abs().sum(1)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module with losses of a user's own."""
    (tmp_path / "users_losses.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "users_losses", raising=False)


@pytest.mark.usefixtures("own")
def test_a_name_with_a_dot_is_the_path_of_a_loss_of_a_users_own() -> None:
    logits, masks = torch.ones(1, 2, 3, 4), torch.zeros(1, 3, 4, dtype=torch.uint8)
    loss = SegmentationLoss({"users_losses.summed": 0.5, "users_losses.Summed": 1.0, "dice": 1.0})
    terms = loss(logits, masks, torch.tensor([2.0, 3.0]))
    assert [terms[name].item() for name in ("users_losses.summed", "users_losses.Summed")] == [60, 24]
    images, target = torch.randn(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    sizes = torch.tensor([[4, 4], [2, 3]])
    terms = ReconstructionLoss({"users_losses.squared": 1.0, "mse": 1.0})(images, target, sizes)
    torch.testing.assert_close(terms["users_losses.squared"], terms["mse"])
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5]])
    ours, theirs = (box_loss(boxes, boxes + 0.1, name) for name in ("users_losses.absolute", "l1"))
    torch.testing.assert_close(ours, theirs)
    task = LocalizationTask(3, head="visiontasks.heads.localization.PooledHead", box_loss="users_losses.absolute")
    assert isinstance(task.head, PooledHead)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("users_losses.nothing", "Module 'users_losses' has no class or function 'nothing'"),
        ("no_losses.summed", "'no_losses.summed' cannot be imported: No module named 'no_losses'"),
        ("fractions.Fraction", r"'fractions.Fraction' is a class; expected a function or a torch.nn.Module"),
    ],
)
def test_a_path_that_is_no_loss_says_so(path: str, message: str) -> None:
    for create in (SegmentationLoss, ReconstructionLoss, lambda name: LocalizationTask(3, box_loss=name)):
        with pytest.raises(ArgumentError, match=message):
            create(path)
    with pytest.raises(ArgumentError, match=r"'fractions\.Fraction' is no Module"):
        LocalizationTask(3, head="fractions.Fraction")
