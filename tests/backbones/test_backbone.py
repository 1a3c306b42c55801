import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from visiontasks.backbones import Backbone, create_backbone
from visiontasks.backbones.backbone import Features, Freeze
from visiontasks.errors import ArgumentError
from visiontasks.testing import check_backbone


class Good(Backbone):
    """Two maps, of stride 2 and 4."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = (4, 8)
        self.strides = (2, 4)
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.second = nn.Conv2d(4, 8, 3, stride=2, padding=1)

    def forward(self, images: Tensor) -> Features:
        first = self.first(images)
        return [first, self.second(first.relu())]


class Unpadded(Good):
    def forward(self, images: Tensor) -> Features:
        return super().forward(images[..., :-1, :-1])


class Unused(Good):
    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Linear(2, 2)


class Noisy(Good):
    def forward(self, images: Tensor) -> Features:
        return super().forward(images + torch.rand_like(images))


class Mixing(Good):
    def forward(self, images: Tensor) -> Features:
        return super().forward(images - images.mean(0))


class Forgetful(Good):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(3.0), persistent=False)

    def forward(self, images: Tensor) -> Features:
        return super().forward(images * self.get_buffer("scale"))


def stated(**attributes: object) -> Callable[[], Backbone]:
    def make() -> Backbone:
        backbone = Good()
        for name, value in attributes.items():
            setattr(backbone, name, value)
        return backbone

    return make


def test_a_backbone_of_a_user_keeps_the_contract_and_is_left_as_it_was() -> None:
    backbone = Good()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    check_backbone(backbone)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert backbone.first.weight.grad is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (stated(channels=[4, 8]), "expected two tuples"),
        (stated(strides=(2,)), "expected two tuples"),
        (stated(strides=(2, 6)), "expected powers of two, fine to coarse"),
        (stated(strides=(4, 2)), "expected powers of two, fine to coarse"),
        (stated(channels=(4, 9)), "images of 64 x 64 give features"),
        (Unpadded, "images of 97 x 131 give features"),
        (Unused, "no gradient reaches .*spare.weight"),
        (Noisy, "two evaluations of the same images differ"),
        (Mixing, "depend on the other images"),
        (Forgetful, "state_dict does not hold"),
    ],
)
def test_what_breaks_the_contract_is_found(make: Callable[[], Backbone], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_backbone(make())


def test_a_backbone_without_stages_freezes_as_a_whole_only() -> None:
    backbone = Good()
    backbone.freeze("all")
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    with pytest.raises(ArgumentError, match="freeze is 1; Good can be frozen by 'none' or 'all': it does not say what"):
        backbone.freeze(1)


@pytest.mark.unchecked
@pytest.mark.parametrize("freeze", [-1, 4, True, "some", 1.0])
def test_stages_that_do_not_exist_are_an_error(freeze: Any) -> None:  # noqa: ANN401 - what is wrong with it
    with pytest.raises(ArgumentError, match=rf"freeze is {freeze!r}; CNN can be frozen by 'none', .* from 0 to 3\."):
        create_backbone("cnn", filters=(4, 6)).freeze(freeze)


def modes(backbone: nn.Module) -> list[bool]:
    return [module.training for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]


def trainable(backbone: nn.Module) -> list[bool]:
    return [module.weight.requires_grad for module in backbone.modules() if isinstance(module, nn.Conv2d)]


def test_frozen_modules_stay_in_evaluation_mode() -> None:
    backbone = create_backbone("cnn", filters=(4, 6, 8), depth=1)
    backbone.eval().freeze(2)
    assert modes(backbone) == [False, False, False]
    assert modes(backbone.train()) == modes(nn.Sequential(backbone).train()) == [False, False, True]
    assert trainable(backbone) == [False, False, True]
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone(torch.rand(2, 3, 9, 9))
    changed = {name for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"stages.2.0.norm.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
    twin = copy.deepcopy(backbone).train()
    assert (modes(twin), trainable(twin)) == (modes(backbone), trainable(backbone))


@pytest.mark.parametrize("freeze", ["all", 1])
def test_frozen_modules_stay_so_where_others_take_their_places(freeze: Freeze) -> None:
    backbone = create_backbone("resnet18-small")
    backbone.freeze(freeze)
    # As Lightning does for Trainer(sync_batchnorm=True), after a task has frozen its backbone.
    backbone = nn.SyncBatchNorm.convert_sync_batchnorm(backbone)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.train()(torch.rand(2, 3, 33, 33))
    frozen = {name for name in before if freeze == "all" or name.startswith(("conv1", "bn1", "layer1"))}
    assert len(frozen) > 10
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items() if name in frozen)
    backbone.unfreeze(backbone.parameters())
    assert all(module.training for module in backbone.train().modules())


@pytest.mark.parametrize("name", ["resnet18-small", "googlenet", "timm/resnet10t"])
def test_norms_are_frozen_alone_or_beside_stages(name: str) -> None:
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    backbone = create_backbone(name)
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) > 10
    backbone.freeze("none", norms=True)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.train()(torch.rand(2, 3, 65, 65))
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    of_norms = {id(parameter) for norm in norms for parameter in norm.parameters()}
    assert {id(p) for p in backbone.parameters() if not p.requires_grad} == of_norms
    backbone.freeze("none")
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    assert all(norm.training for norm in norms)


def test_freezing_anew_replaces_what_was_frozen() -> None:
    backbone = create_backbone("cnn", filters=(4, 6, 8), depth=1)
    for freeze, count in (("all", 3), (1, 1), (3, 3), (0, 0), (2, 2), ("none", 0)):
        backbone.freeze(freeze)  # type: ignore[arg-type]  # mypy joins the types
        expected = [index >= count for index in range(3)]
        assert (modes(backbone), trainable(backbone)) == (expected, expected)


def test_what_others_have_frozen_is_left_alone() -> None:
    backbone = create_backbone("cnn", filters=(4, 6), depth=1)
    backbone.requires_grad_(False).eval()
    backbone.freeze("none")
    assert (modes(backbone), trainable(backbone)) == ([False, False], [False, False])


@pytest.mark.parametrize("freeze", ["all", 2])
def test_parameters_unfreeze_with_their_modules(freeze: Any) -> None:  # noqa: ANN401 - as the argument
    backbone = create_backbone("cnn", filters=(4, 6, 8), depth=1)
    backbone.freeze(freeze)
    last = [freeze == 2]
    backbone.unfreeze([nn.Parameter(torch.zeros(1))])
    backbone.unfreeze(backbone.get_submodule("stages.1").parameters())
    assert (modes(backbone.train()), trainable(backbone)) == ([False, True, *last], [False, True, *last])
    backbone.unfreeze([p for p in backbone.parameters() if p.ndim == 4])
    assert modes(backbone.train()) == [False, True, *last]
    assert trainable(backbone) == [True, True, True]
    backbone.unfreeze(backbone.parameters())
    assert modes(backbone) == [True, True, True]
    assert all(parameter.requires_grad for parameter in backbone.parameters())
