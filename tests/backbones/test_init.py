import pytest
import torch

from visiontasks import create_backbone, list_backbones
from visiontasks.backbones import CNN, Backbone
from visiontasks.errors import ArgumentError
from visiontasks.testing import check_backbone


@pytest.mark.parametrize("in_channels", [1, 3])
def test_the_default_backbone_keeps_the_contract(in_channels: int) -> None:
    check_backbone(create_backbone("cnn", in_channels), in_channels)


@pytest.mark.parametrize("name", list_backbones())
def test_every_name_builds_a_backbone(name: str) -> None:
    with torch.device("meta"):  # shapes without arithmetic
        backbone = create_backbone(name, in_channels=2)
        assert isinstance(backbone, Backbone)
        features = backbone(torch.empty(2, 2, 64, 64))
    assert tuple(feature.shape[1] for feature in features) == backbone.channels


def test_options_reach_the_backbone() -> None:
    torch.manual_seed(3)
    ours = create_backbone("cnn", 1, filters=(4, 8), depth=1, norm="group")
    torch.manual_seed(3)
    reference = CNN(1, filters=(4, 8), depth=1, norm="group")
    images = torch.rand(1, 1, 9, 9)
    assert all(torch.equal(a, b) for a, b in zip(ours(images), reference(images), strict=True))


@pytest.mark.parametrize("name", ["cn", "CNN", "cnnn"])
def test_an_unknown_name_lists_near_matches(name: str) -> None:
    with pytest.raises(ArgumentError, match=rf"There is no backbone '{name}'\. Did you mean 'cnn'\?"):
        create_backbone(name)


def test_an_unknown_name_lists_the_known_ones_where_none_is_near() -> None:
    with pytest.raises(ArgumentError, match=r"There is no backbone 'transformer'\. Known: .*'cnn'"):
        create_backbone("transformer")


def test_an_option_that_the_backbone_does_not_take_is_named() -> None:
    with pytest.raises(ArgumentError, match=r"backbone 'cnn' was given .*'widht': 3.*unexpected keyword.*'widht'"):
        create_backbone("cnn", widht=3)
