"""Blocks that are computed again: the same losses, gradients and statistics, to the bit, with less kept."""

import pickle
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import Tensor, nn

from visiontasks import (
    AutoencodingTask,
    Backbone,
    ClassificationTask,
    DetectionTask,
    LocalizationTask,
    SegmentationTask,
    ShapesDataModule,
    create_backbone,
)
from visiontasks.backbones import WrappedBackbone
from visiontasks.backbones.recomputation import blocks_of, recompute_blocks
from visiontasks.errors import ArgumentError

RESNET: dict[str, Any] = {"backbone": "resnet18", "backbone_options": {"stochastic_depth": 0.3}}
TASKS: dict[str, Callable[..., LightningModule]] = {
    "classification": lambda **options: ClassificationTask(4, **RESNET, dropout=0.3, **options),
    "localization": lambda **options: LocalizationTask(4, **RESNET, dropout=0.3, **options),
    "detection": lambda **options: DetectionTask(4, **RESNET, fpn_width=16, head_width=16, **options),
    "segmentation": lambda **options: SegmentationTask(5, **RESNET, **options),
    "autoencoding": lambda **options: AutoencodingTask(
        8, image_size=32, backbone="cnn", backbone_options={"filters": (4, 8)}, **options
    ),
}


def kept_bytes(compute: Callable[[], object]) -> int:
    """Count the bytes that autograd keeps of a computation."""
    kept: dict[int, int] = {}

    def keep(value: Tensor) -> Tensor:
        kept[value.data_ptr()] = value.untyped_storage().nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        result = compute()
    del result
    return sum(kept.values())


SLOW_TASK = pytest.param("detection", marks=pytest.mark.slow)


@pytest.mark.parametrize("kind", [*(kind for kind in TASKS if kind != "detection"), SLOW_TASK])
def test_a_training_is_equal_to_the_bit(kind: str, make_trainer: Callable[..., Trainer]) -> None:
    states, losses = [], []
    for recompute in (False, True):
        seed_everything(3, verbose=False)
        task = TASKS[kind](gradient_checkpointing=recompute)
        task.to(memory_format=torch.channels_last)
        takes: Any = "classification" if kind == "autoencoding" else kind
        data = ShapesDataModule(task=takes, train_size=4, val_size=1, image_size=(32, 32), batch_size=2)
        trainer = make_trainer(max_epochs=1, num_sanity_val_steps=0)
        trainer.fit(task, data)
        states.append(task.state_dict())
        losses.append(trainer.callback_metrics["train/loss"])
    assert torch.equal(*losses)
    plain, again = states
    assert plain.keys() == again.keys()
    for name, value in plain.items():
        assert torch.equal(value, again[name]), name
    assert any(name.endswith("running_mean") for name in plain)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("googlenet", "inception_v3", "resnet50", "alexnet")]
NAMES = ["cnn", "vgg11-bn", "timm/resnet10t", *SLOW]


@pytest.mark.parametrize("name", NAMES)
def test_gradients_and_statistics_of_any_backbone_are_the_same(name: str) -> None:
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    torch.manual_seed(0)
    plain = create_backbone(name)
    again = deepcopy(plain)
    recompute_blocks(again)
    images = torch.randn(2, 3, 32, 32)
    gradients = []
    for backbone in (plain, again):
        total = torch.stack([(x.square()).mean() for x in backbone.train()(images)]).sum()
        total.backward()
        gradients.append([value.grad for value in backbone.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)
    for (key, value), other in zip(plain.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(value, other), key
    counts = [value for key, value in again.state_dict().items() if key.endswith("num_batches_tracked")]
    assert all(count == 1 for count in counts)
    few, many = (kept_bytes(partial(backbone, images)) for backbone in (again, plain))
    assert few < 0.75 * many, (few, many)


def test_a_step_of_resnet50_keeps_a_fraction() -> None:
    images = torch.zeros(1, 3, 48, 48, dtype=torch.uint8)
    kept = []
    for recompute in (False, True):
        task = ClassificationTask(4, backbone="resnet50", gradient_checkpointing=recompute)
        kept.append(kept_bytes(partial(task.train(), images.expand(4, -1, -1, -1))))
    parameters = 4 * sum(value.numel() for value in task.backbone.parameters())
    assert kept[1] - parameters < 0.3 * (kept[0] - parameters)


def test_evaluation_computes_nothing_again() -> None:
    backbone = create_backbone("resnet18-small")
    recompute_blocks(backbone)
    calls: list[int] = []
    backbone.layer1[0].bn1.register_forward_hook(lambda *_: calls.append(1))  # type: ignore[union-attr, index]
    with torch.no_grad():
        backbone.eval()(torch.zeros(1, 3, 16, 16))
    assert len(calls) == 1


def test_a_copy_and_a_pickle_compute_with_their_own_weights() -> None:
    backbone = create_backbone("cnn", filters=(4, 6))
    recompute_blocks(backbone)
    recompute_blocks(backbone)  # once more changes nothing
    images = torch.randn(2, 3, 16, 16)
    expected = backbone.eval()(images)
    for copy in (deepcopy(backbone), pickle.loads(pickle.dumps(backbone))):
        for one, other in zip(copy(images), expected, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
        with torch.no_grad():
            for value in copy.parameters():
                value.zero_()
        assert not any(x.any() for x in copy(images))
    assert all(vars(block)["forward"].args[0] is block for block in blocks_of(backbone))
    for one, other in zip(backbone(images), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


class Nodes(nn.Module):
    """Two blocks, of which a map is taken from the inside of the second."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4)))
        self.second = Pair()

    def forward(self, images: Tensor) -> Tensor:
        x: Tensor = self.second(self.first(images))
        return x


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(4, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.two(self.one(x).relu())
        return y


def test_a_block_that_holds_a_node_is_kept() -> None:
    backbone = WrappedBackbone(Nodes(), ["first.0", "second.one", "second.two"])
    assert [type(block).__name__ for block in blocks_of(backbone)] == []
    backbone = WrappedBackbone(Nodes(), ["first", "second"])
    recompute_blocks(backbone)
    torch.stack([x.sum() for x in backbone(torch.randn(1, 3, 16, 16))]).sum().backward()
    assert all(value.grad is not None for value in backbone.parameters())


class Flat(Backbone):
    channels = (4,)
    strides = (2,)

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.convolution(images)]


def test_a_backbone_without_blocks_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"gradient_checkpointing computes blocks again, and Flat has none"):
        ClassificationTask(2, backbone=Flat(), gradient_checkpointing=True)
