"""The contract of backbones."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor

from visiontasks.backbones import Backbone
from visiontasks.testing.comparison import check_gradients, equal, require


def check_backbone(
    backbone: Backbone, in_channels: int = 3, sizes: Sequence[tuple[int, int]] = ((64, 64), (97, 131), (48, 33))
) -> None:
    """Check that a backbone keeps the contract of :class:`~visiontasks.backbones.Backbone`.

    Channels and strides are as stated for every size, every parameter gets a gradient, evaluation is deterministic and
    treats each image by itself, and the weights load into a copy.

    Args:
        backbone: The backbone; it is left as it was.
        in_channels: Channels of the images.
        sizes: Heights and widths in pixels to try, at least one.

    Raises:
        AssertionError: If it does not keep the contract.

    Example:
        >>> from visiontasks import create_backbone
        >>> check_backbone(create_backbone("cnn", in_channels=1, filters=(8, 16)), in_channels=1)
    """
    backbone = deepcopy(backbone)
    channels, strides = backbone.channels, backbone.strides
    require(
        type(channels) is type(strides) is tuple and 0 < len(channels) == len(strides),
        f"channels is {channels} and strides {strides}; expected two tuples with an entry for each feature map",
    )
    require(
        all(stride > 0 and stride & (stride - 1) == 0 for stride in strides) and list(strides) == sorted(strides),
        f"strides is {strides}; expected powers of two, fine to coarse",
    )
    for height, width in sizes:
        images = torch.rand(2, in_channels, height, width)
        features = backbone.train()(images)
        expected = [(2, c, -(-height // s), -(-width // s)) for c, s in zip(channels, strides, strict=True)]
        shapes = [tuple(feature.shape) for feature in features]
        require(shapes == expected, f"images of {height} x {width} give features {shapes}; expected {expected}")
    check_gradients(backbone, [feature.square().mean() for feature in features])
    _check_evaluation(backbone.eval(), images)


def _check_evaluation(backbone: Backbone, images: Tensor) -> None:
    with torch.no_grad():
        features = backbone(images)
        require(equal(features, backbone(images)), "two evaluations of the same images differ")
        mixed = backbone(torch.stack([images[0], 1 - images[1]]))
        close = all(torch.allclose(a[0], b[0], rtol=1e-4, atol=1e-5) for a, b in zip(features, mixed, strict=True))
        require(close, "the features of an image depend on the other images of its batch")
        twin = deepcopy(backbone)
        for tensor in [*twin.parameters(), *twin.buffers()]:
            # Integers are indices that belong to the architecture, such as those of relative positions.
            if tensor.is_floating_point():
                tensor.zero_()
        twin.load_state_dict(backbone.state_dict())
        require(equal(features, twin(images)), "state_dict does not hold all that the features depend on")
