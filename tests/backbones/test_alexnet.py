import torch

from visiontasks.backbones.alexnet import AlexNet


def test_pixels_of_the_features_lie_over_their_place_in_the_image() -> None:
    backbone = AlexNet().eval()
    image = torch.zeros(1, 3, 257, 257)
    with torch.no_grad():
        base = backbone(image)
        image[..., 128, 128] = 10
        for before, after, stride in zip(base, backbone(image), backbone.strides, strict=True):
            changed = (after - before).abs().amax((0, 1)).nonzero().float()
            centre = (changed.amin(0) + changed.amax(0)) / 2
            torch.testing.assert_close(centre * stride, torch.full((2,), 128.0), rtol=0, atol=stride / 2)
