"""Statistics of batch norm after the first steps of a training."""

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.tasks.fresh_statistics import FreshStatistics

OPTIONS = {"filters": [4, 8], "depth": 1}


def moving(batches: list[torch.Tensor], momentum: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance, as averages whose weights fall by the momentum and sum to one."""
    weights = [momentum * (1 - momentum) ** (len(batches) - 1 - index) for index in range(len(batches))]
    statistics = [(batch.mean((0, 2, 3)), batch.var((0, 2, 3))) for batch in batches]
    mean, var = (sum(w * s[part] for w, s in zip(weights, statistics, strict=True)) for part in (0, 1))
    total = sum(weights)
    return mean / total, var / total  # type: ignore[return-value]  # sums of tensors


@pytest.mark.parametrize("uses", [1, 3])
def test_the_first_step_leaves_the_average_of_what_was_seen(uses: int) -> None:
    norm, fresh = nn.BatchNorm2d(5, momentum=0.2), FreshStatistics()
    batches = [0.1 * torch.randn(4, 5, 6, 6) + 3 for _ in range(uses)]
    fresh.begin(norm)
    sum(norm(batch.requires_grad_()).sum() for batch in batches).backward()
    fresh.complete()
    mean, var = moving(batches, 0.2)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, var)
    # Later steps are torch's own.
    more = torch.randn(4, 5, 6, 6)
    norm(more)
    fresh.complete()
    torch.testing.assert_close(norm.running_mean, 0.8 * mean + 0.2 * more.mean((0, 2, 3)))


def test_statistics_that_exist_and_layers_that_are_not_used_keep_theirs() -> None:
    known, frozen, unused, whole = nn.BatchNorm2d(3), nn.BatchNorm2d(3).eval(), nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    known(torch.randn(2, 3, 4, 4))
    whole.momentum = None
    expected = {
        name: value.clone() for name, value in nn.ModuleList([known, frozen, unused, whole]).state_dict().items()
    }
    network = nn.ModuleList([known, frozen, unused, whole])
    fresh = FreshStatistics()
    fresh.begin(network)
    fresh.complete()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_a_training_of_few_steps_is_evaluated_as_it_was_trained() -> None:
    torch.manual_seed(0)
    task = ClassificationTask(num_classes=4, backbone_options=OPTIONS)
    trainer = Trainer(
        max_steps=1, logger=False, enable_checkpointing=False, accelerator="cpu", enable_progress_bar=False
    )
    data = ShapesDataModule(train_size=16, val_size=8, image_size=(16, 20), batch_size=16)
    first: list[torch.Tensor] = []
    norm = next(layer for layer in task.modules() if isinstance(layer, nn.BatchNorm2d))
    norm.register_forward_pre_hook(lambda layer, inputs: first.append(inputs[0].detach()) if layer.training else None)
    trainer.fit(task, datamodule=data)
    assert norm.running_var is not None
    assert norm.running_mean is not None
    torch.testing.assert_close(norm.running_var, first[0].var((0, 2, 3)))
    torch.testing.assert_close(norm.running_mean, first[0].mean((0, 2, 3)))


def test_a_layer_that_is_frozen_at_first_begins_when_it_is_trained() -> None:
    norm, fresh = nn.BatchNorm2d(3).eval(), FreshStatistics()
    fresh.begin(norm)
    fresh.complete()
    batch = torch.randn(2, 3, 4, 4)
    fresh.begin(norm.train())
    norm(batch)
    fresh.complete()
    assert norm.running_var is not None
    torch.testing.assert_close(norm.running_var, batch.var((0, 2, 3)))
