from collections.abc import Callable

import pytest
import torch
from torch import nn

from visiontasks.backbones.vgg import VGG, vgg11, vgg13, vgg16, vgg19


@pytest.mark.parametrize(("builder", "convolutions"), [(vgg11, 8), (vgg13, 10), (vgg16, 13), (vgg19, 16)])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_configurations_have_the_published_number_of_convolutions(
    builder: Callable[..., VGG], convolutions: int, batch_norm: bool
) -> None:
    with torch.device("meta"):
        backbone = builder(batch_norm=batch_norm)
    found = [sum(isinstance(layer, kind) for layer in backbone.features) for kind in (nn.Conv2d, nn.BatchNorm2d)]
    assert found == [convolutions, convolutions * batch_norm]


def test_the_last_row_and_column_of_an_odd_map_count() -> None:
    backbone = VGG((1, 1, 1, 1, 1)).eval()
    images = torch.randn(1, 3, 33, 33)
    changed = images.clone()
    changed[..., -1, -1] += 100
    with torch.no_grad():
        difference = (backbone(images)[-1] - backbone(changed)[-1]).abs()
    assert difference[..., 1, 1].max() > 0


def test_the_signal_keeps_its_size_through_the_layers() -> None:
    with torch.no_grad():
        features = vgg16()(torch.randn(2, 3, 64, 64))
    assert 0.1 < features[-1].std() / features[0].std() < 10
