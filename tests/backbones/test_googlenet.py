import pytest
import torch

from visiontasks.backbones.googlenet import GoogLeNet, googlenet
from visiontasks.backbones.inception import InceptionModule


def test_modules_have_the_published_number_of_channels() -> None:
    with torch.device("meta"):
        modules = [m for m in googlenet().modules() if isinstance(m, InceptionModule)]
    assert [module.out_channels for module in modules] == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    kernels = [module.get_submodule("branch3.1.conv").kernel_size for module in modules]
    assert kernels == [(5, 5)] * 9


@pytest.mark.parametrize("small_images", [False, True])
def test_auxiliary_maps_come_apart_from_the_features(small_images: bool) -> None:
    backbone = GoogLeNet(small_images=small_images).eval()
    seen: list[torch.Tensor] = []
    for name in ("inception4a", "inception4d"):
        backbone.get_submodule(name).register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    images = torch.randn(1, 3, 40, 64)
    with torch.no_grad():
        features, auxiliary = backbone.forward_auxiliary(images)
    assert all(a is b for a, b in zip(auxiliary, seen, strict=True))
    for feature, expected in zip(features, backbone(images), strict=True):
        torch.testing.assert_close(feature, expected, rtol=0, atol=0)
    stride = backbone.strides[-2]
    assert [tuple(a.shape) for a in auxiliary] == [
        (1, channels, -(-40 // stride), -(-64 // stride)) for channels in backbone.auxiliary_channels
    ]


def test_the_signal_keeps_its_size_without_batch_norm() -> None:
    with torch.no_grad():
        features = googlenet(batch_norm=False)(torch.randn(2, 3, 64, 64))
    assert 0.1 < features[-1].std() / features[0].std() < 10
