from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from visiontasks.backbones import Backbone
from visiontasks.backbones.base import Features
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
