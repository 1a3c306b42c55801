"""Stochastic depth of residual networks: which blocks are left out, how often, and that evaluation is as without."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from torch import Tensor, nn

from visiontasks import ClassificationBatch, ClassificationTask, create_backbone
from visiontasks.backbones.resnet import BasicBlock, Bottleneck, ResNet
from visiontasks.errors import ArgumentError


def blocks_of(backbone: nn.Module) -> list[Any]:
    return [module for module in backbone.modules() if isinstance(module, BasicBlock | Bottleneck)]


@pytest.mark.parametrize(("name", "count"), [("resnet18", 8), ("resnet50-small", 16)])
def test_probabilities_grow_linearly_to_that_of_the_last_block(name: str, count: int) -> None:
    blocks = blocks_of(create_backbone(name, stochastic_depth=0.2))
    # Huang et al., equation 4: block l of L survives with probability 1 - l / L * (1 - p_L).
    assert [1 - block.drop_probability for block in blocks] == pytest.approx(
        [1 - number / count * (1 - 0.8) for number in range(1, count + 1)]
    )


@pytest.mark.parametrize("kind", [BasicBlock, Bottleneck])
def test_a_block_is_left_out_for_whole_images_and_otherwise_scaled(kind: Any) -> None:  # noqa: ANN401 (a block)
    torch.manual_seed(0)
    block = kind(8 * kind.expansion, 8)
    block.drop_probability = 0.25
    block.train()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # so that images do not influence one another
    x = torch.randn(400, 8 * kind.expansion, 3, 3)
    outputs = block(x)
    left_out = (outputs == x.relu()).flatten(1).all(1)
    assert 0.15 < left_out.float().mean() < 0.35
    last = block.bn2 if kind is BasicBlock else block.bn3
    residuals: list[Tensor] = []
    last.register_forward_hook(lambda _module, _inputs, output: residuals.append(output.clone()))
    block.eval()
    plain = block(x)
    torch.testing.assert_close(plain, (x + residuals[0]).relu())
    kept = ~left_out
    torch.testing.assert_close(outputs[kept], (x + residuals[0] / 0.75).relu()[kept])


def test_evaluation_and_names_are_as_without() -> None:
    torch.manual_seed(0)
    plain = ResNet(BasicBlock, (1, 1, 1, 1)).eval()
    other = ResNet(BasicBlock, (1, 1, 1, 1), stochastic_depth=0.5)
    other.load_state_dict(plain.state_dict(), strict=True)
    images = torch.randn(2, 3, 40, 40)
    for one, two in zip(plain(images), other.eval()(images), strict=True):
        assert torch.equal(one, two)
    assert not all(torch.equal(*pair) for pair in zip(plain.train()(images), other.train()(images), strict=True))


def test_a_frozen_stage_is_never_left_out() -> None:
    backbone = create_backbone("resnet18", stochastic_depth=0.9)
    backbone.freeze(2)
    backbone.train()
    assert [block.training for block in blocks_of(backbone)] == [False, False, *[True] * 6]


def test_the_same_seed_leaves_out_the_same(make_trainer: Callable[..., Trainer]) -> None:
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    batch = ClassificationBatch(images, torch.tensor([0, 1, 2, 0]), torch.arange(4))
    weights = []
    for seed in (1, 1, 2):
        seed_everything(0, verbose=False)
        task = ClassificationTask(3, backbone="resnet18-small", backbone_options={"stochastic_depth": 0.5})
        seed_everything(seed, verbose=False)
        loader: Any = torch.utils.data.DataLoader([batch] * 2, batch_size=None)  # type: ignore[arg-type]  # read alike
        make_trainer(max_epochs=1).fit(task, loader, loader)
        weights.append(torch.cat([value.detach().flatten() for value in task.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_a_probability_out_of_range_is_an_error(value: float) -> None:
    with pytest.raises(ArgumentError, match=rf"stochastic_depth is {value}; expected a probability"):
        create_backbone("resnet18", stochastic_depth=value)


def test_a_network_without_it_refuses_it_by_name() -> None:
    with pytest.raises(ArgumentError, match=r"'vgg11' was given .*stochastic_depth"):
        create_backbone("vgg11", stochastic_depth=0.1)
