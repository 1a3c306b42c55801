from collections import OrderedDict

import pytest
import torch
from torch import nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from visiontasks.necks.fpn import FeaturePyramid


@pytest.mark.parametrize("batch_norm", [False, True])
def test_outputs_are_torchvisions_for_the_same_weights(batch_norm: bool) -> None:
    channels = (8, 16, 32)
    norm = nn.BatchNorm2d if batch_norm else None
    theirs = FeaturePyramidNetwork(list(channels), 12, LastLevelMaxPool(), norm)
    ours = FeaturePyramid(channels, (4, 8, 16), 12, batch_norm=batch_norm)
    ours.load_state_dict(theirs.state_dict())
    features = [torch.rand(2, count, 33 // s + 1, 47 // s + 1) for count, s in zip(channels, (4, 8, 16), strict=True)]
    expected = theirs(OrderedDict((str(level), feature) for level, feature in enumerate(features)))
    for a, b in zip(ours(features), expected.values(), strict=True):
        torch.testing.assert_close(a, b)
    assert ours.strides == (4, 8, 16, 32)


def test_without_the_extra_map_there_are_as_many_as_before() -> None:
    fpn = FeaturePyramid((8, 16), (8, 16), 4, extra=False)
    assert fpn.strides == (8, 16)
    assert [x.shape[1:] for x in fpn([torch.rand(0, 8, 5, 4), torch.rand(0, 16, 3, 2)])] == [(4, 5, 4), (4, 3, 2)]
