import torch
import torch.nn.functional as F
from torch import nn

from visiontasks.backbones.inception import BasicConv2d, InceptionModule


def test_the_branches_see_1x1_3x3_and_5x5_pixels_and_stand_in_the_order_of_the_paper() -> None:
    module = InceptionModule(8, 4, 8, 5, 8, 6, 7, batch_norm=False).eval()
    image = torch.rand(1, 8, 15, 15)
    changed = image.clone()
    changed[..., 7, 7] += 5
    with torch.no_grad():
        difference = (module(changed) - module(image)).abs().amax(0)
    sides = []
    for branch in difference.split([4, 5, 6, 7]):
        places = branch.amax(0).nonzero()
        sides.append((places.amax(0) - places.amin(0) + 1).tolist())
    assert sides == [[1, 1], [3, 3], [5, 5], [3, 3]]


def test_the_pooled_branch_is_the_maximum_of_3x3_then_1x1() -> None:
    module = InceptionModule(8, 4, 8, 5, 8, 6, 7, batch_norm=False)
    x = torch.rand(2, 8, 9, 9)
    pooled = torch.stack([F.pad(x, (1, 1, 1, 1))[..., i : i + 9, j : j + 9] for i in range(3) for j in range(3)]).amax(
        0
    )
    conv = module.get_submodule("branch4.1.conv")
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    expected = torch.einsum("bchw,oc->bohw", pooled, conv.weight[..., 0, 0]) + conv.bias[:, None, None]
    torch.testing.assert_close(module(x)[:, -7:], expected.relu())


def test_a_convolution_has_a_bias_only_without_batch_norm() -> None:
    assert [name for name, _ in BasicConv2d(3, 4, batch_norm=False).named_parameters()] == ["conv.weight", "conv.bias"]
    names = [name for name, _ in BasicConv2d(3, 4, (1, 7)).named_parameters()]
    assert names == ["conv.weight", "bn.weight", "bn.bias"]
