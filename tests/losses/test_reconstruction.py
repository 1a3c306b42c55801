import math
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from visiontasks.errors import ArgumentError
from visiontasks.losses.reconstruction import ReconstructionLoss, ReconstructionLossName, normal_divergence
from visiontasks.losses.ssim import structural_similarity


def in_loops(name: str, logits: Tensor, target: Tensor, sizes: list[list[int]]) -> float:
    total = 0.0
    for image, (height, width) in enumerate(sizes):
        values = []
        for channel in range(logits.shape[1]):
            for row in range(height):
                for column in range(width):
                    logit, wanted = (
                        logits[image, channel, row, column].item(),
                        target[image, channel, row, column].item(),
                    )
                    pixel = 1 / (1 + math.exp(-logit))
                    if name == "mse":
                        values.append((pixel - wanted) ** 2)
                    elif name == "l1":
                        values.append(abs(pixel - wanted))
                    else:
                        values.append(-wanted * math.log(pixel) - (1 - wanted) * math.log(1 - pixel))
        total += sum(values) / len(values)
    return total / len(sizes)


@pytest.mark.parametrize("name", ["mse", "l1", "binary_cross_entropy"])
@pytest.mark.parametrize("padded", [False, True])
def test_a_loss_is_the_mean_over_images_of_the_mean_over_pixels(name: ReconstructionLossName, padded: bool) -> None:
    logits, target = torch.randn(3, 2, 5, 6), torch.rand(3, 2, 5, 6)
    sizes = [[5, 6], [2, 3], [4, 6]] if padded else [[5, 6]] * 3
    (found,) = ReconstructionLoss(name)(logits, target, torch.tensor(sizes) if padded else None).values()
    assert found.item() == pytest.approx(in_loops(name, logits, target, sizes), rel=1e-5)


def test_ssim_is_its_complement() -> None:
    logits, target = torch.randn(3, 2, 15, 16), torch.rand(3, 2, 15, 16)
    found = ReconstructionLoss("ssim")(logits, target)["ssim"]
    torch.testing.assert_close(found, 1 - structural_similarity(logits.sigmoid(), target).mean())


def test_factors_weigh_the_terms_of_a_sum() -> None:
    logits, target = torch.randn(2, 3, 12, 12), torch.rand(2, 3, 12, 12)
    factors = {"mse": 2.0, "ssim": 0.5, "l1": 1.0, "binary_cross_entropy": 0.1}
    terms = ReconstructionLoss(factors)(logits, target)
    assert list(terms) == list(factors)
    for name in get_args(ReconstructionLossName):
        torch.testing.assert_close(terms[name], factors[name] * ReconstructionLoss(name)(logits, target)[name])


@pytest.mark.parametrize(
    ("loss", "message"),
    [({"mes": 1.0}, "no loss 'mes'. Did you mean 'mse'"), ({"l1": 0.0}, "'l1' is 0.0"), ({}, "at least one loss")],
)
def test_wrong_losses_are_named(loss: dict[str, float], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ReconstructionLoss(loss)


def test_the_divergence_is_that_of_torch() -> None:
    means, logs = torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)
    reference = kl_divergence(Normal(means, (logs / 2).exp()), Normal(0.0, 1.0)).flatten(1).sum(1)
    torch.testing.assert_close(normal_divergence(means, logs), reference)
