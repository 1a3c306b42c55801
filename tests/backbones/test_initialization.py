from typing import Literal

import pytest
import torch
from torch import nn

from visiontasks.backbones.initialization import initialize_convolutions


@pytest.mark.parametrize(("mode", "fan"), [("fan_in", 64 * 9), ("fan_out", 128 * 9)])
def test_weights_have_the_standard_deviation_of_he_et_al(mode: Literal["fan_in", "fan_out"], fan: int) -> None:
    module = nn.Sequential(nn.Conv2d(64, 128, 3), nn.BatchNorm2d(128))
    initialize_convolutions(module, mode)
    weight, bias, scale, shift = module.parameters()
    torch.testing.assert_close(weight.std().item(), (2 / fan) ** 0.5, rtol=0.02, atol=0)
    assert not bias.any()
    assert not shift.any()
    assert bool((scale == 1).all())
