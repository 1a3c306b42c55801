"""Depthwise convolutions that are trained in float32 on a CPU."""

import copy
import pickle

import pytest
import torch
from torch import nn

from visiontasks.backbones.depthwise import use_float32_where_faster


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 1),
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        nn.Conv2d(6, 6, 5, padding=2, groups=6),
        nn.Conv2d(6, 6, 3, 2, padding=1, groups=6),
    )


def test_the_slow_ones_are_computed_in_float32_and_all_return_the_dtype_of_autocast() -> None:
    torch.manual_seed(0)
    plain, fast = network(), network()
    fast.load_state_dict(plain.state_dict())
    use_float32_where_faster(fast)
    x = torch.rand(2, 6, 9, 9)
    with torch.autocast("cpu", torch.bfloat16):
        for index, exact in ((1, False), (2, True), (3, True)):
            found = fast[index](x)
            rounded = plain[index](x)
            assert found.dtype == torch.bfloat16
            with torch.autocast("cpu", enabled=False):
                expected = plain[index](x).bfloat16()
            assert torch.equal(found, expected if exact else rounded)
        with torch.no_grad():
            assert torch.equal(fast[2](x), plain[2](x))
    assert torch.equal(fast[2](x), plain[2](x)), "without autocast nothing changes"


@pytest.mark.parametrize("how", ["copied", "pickled"])
def test_copies_for_averages_and_other_processes_work_alike(how: str) -> None:
    fast = network()
    use_float32_where_faster(fast)
    other = copy.deepcopy(fast) if how == "copied" else pickle.loads(pickle.dumps(fast))
    assert [type(layer) for layer in other] == [type(layer) for layer in fast]
    assert other.state_dict().keys() == network().state_dict().keys()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    x = torch.rand(2, 3, 9, 9)
    with torch.autocast("cpu", torch.bfloat16):
        assert not torch.equal(other(x), fast(x)), "the weights are its own"


def test_layers_of_timm_that_pad_by_themselves_keep_it() -> None:
    timm = pytest.importorskip("timm")
    plain = timm.create_model("tf_efficientnet_lite0", features_only=True)
    fast = copy.deepcopy(plain)
    use_float32_where_faster(fast)
    x = torch.rand(1, 3, 45, 61)
    for module in (plain, fast):
        module.eval()
    assert all(torch.equal(one, other) for one, other in zip(plain(x), fast(x), strict=True))
    with torch.autocast("cpu", torch.bfloat16):
        found, exact = fast(x)[-1].float(), plain(x)[-1].float()
    assert (found - exact).norm() < 0.05 * exact.norm()
