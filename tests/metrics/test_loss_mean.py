import math

import torch

from visiontasks.metrics.loss_mean import LossMean


def test_the_mean_is_over_images_not_over_batches() -> None:
    mean = LossMean()
    losses = torch.rand(10, dtype=torch.float64).float()
    for batch in torch.split(losses, [3, 3, 3, 1]):
        mean.update({"loss": batch.mean(), "loss_box": 2 * batch.mean()}, len(batch))
    values = mean.compute()
    assert list(values) == ["loss", "loss_box"]
    assert math.isclose(values["loss"].item(), losses.double().mean().item(), rel_tol=1e-6)
    assert math.isclose(values["loss_box"].item(), 2 * losses.double().mean().item(), rel_tol=1e-6)


def test_a_batch_without_images_adds_nothing() -> None:
    mean = LossMean()
    mean.update({"loss": torch.tensor(float("nan"))}, 0)
    assert math.isnan(mean.compute()["loss"])
    mean.update({"loss": torch.tensor(1.5)}, 2)
    mean.update({"loss": torch.tensor(float("nan"))}, 0)
    assert mean.compute()["loss"] == 1.5


def test_reset_starts_anew() -> None:
    mean = LossMean()
    mean.update({"loss": torch.tensor(7.0)}, 4)
    mean.reset()
    mean.update({"loss": torch.tensor(1.0)}, 1)
    assert mean.compute()["loss"] == 1.0


def test_small_terms_beside_a_large_one_are_not_lost() -> None:
    mean = LossMean()
    mean.update({"loss": torch.tensor(1e6)}, 1)
    for _ in range(1000):
        mean.update({"loss": torch.tensor(1e-3)}, 1)
    assert math.isclose(mean.compute()["loss"].item(), (1e6 + 1) / 1001, rel_tol=1e-7)


def test_the_graph_of_the_loss_is_not_kept() -> None:
    mean = LossMean()
    mean.update({"loss": torch.tensor(1.0, requires_grad=True) * 2}, 1)
    assert not mean.compute()["loss"].requires_grad
