import torch

from visiontasks.backbones.inception_v3 import InceptionV3


def test_the_auxiliary_map_is_the_one_of_stride_16() -> None:
    with torch.device("meta"):
        backbone = InceptionV3()
        features, auxiliary = backbone.forward_auxiliary(torch.empty(2, 3, 75, 96))
    assert len(features) == 5
    assert auxiliary[0] is features[3]
    assert (tuple(auxiliary[0].shape), backbone.auxiliary_channels) == ((2, 768, 5, 6), (768,))
