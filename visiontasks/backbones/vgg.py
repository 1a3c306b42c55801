"""VGG: stacks of 3x3 convolutions."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import Backbone, Features
from visiontasks.backbones.initialization import initialize_convolutions
from visiontasks.backbones.layers import outputs_of, split_before
from visiontasks.backbones.pooling import MaxPool


class VGG(Backbone):
    """Five stages of 3x3 convolutions, each followed by a pooling over 2x2 pixels.

    Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition (ICLR 2015), Table 1:
    configurations A, B, D and E, without the fully connected layers.

    The feature maps are those before each pooling and the last one, with strides 1, 2, 4, 8, 16 and 32. If the size of
    a map is odd, the last pooling windows cover the remaining row and column, so that the stride contract is kept;
    torchvision drops them. For image sizes that are multiples of 32 the features equal torchvision's. Parameters have
    torchvision's names, so that its weights can be loaded. Images may be of any size from 1x1.

    Args:
        depths: Number of convolutions in each of the five stages.
        in_channels: Channels of the images.
        batch_norm: Whether batch normalisation follows each convolution; the paper has none.

    Example:
        >>> backbone = VGG((1, 1, 2, 2, 2))
        >>> backbone.channels, backbone.strides
        ((64, 128, 256, 512, 512, 512), (1, 2, 4, 8, 16, 32))
    """

    recomputes = False

    def __init__(self, depths: Sequence[int], in_channels: int = 3, *, batch_norm: bool = False) -> None:
        super().__init__()
        widths = (64, 128, 256, 512, 512)
        self.channels, self.strides = (*widths, widths[-1]), (1, 2, 4, 8, 16, 32)
        layers: list[nn.Module] = []
        for width, depth in zip(widths, depths, strict=True):
            for _ in range(depth):
                layers.append(nn.Conv2d(in_channels, width, 3, padding=1))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(width))
                layers.append(nn.ReLU(inplace=True))
                in_channels = width
            layers.append(MaxPool(2))
        self.features = nn.Sequential(*layers)
        initialize_convolutions(self, "fan_in")

    def stage_modules(self) -> list[list[nn.Module]]:
        """List the modules of each feature map; see :meth:`Backbone.stage_modules`."""
        return split_before(self.features, MaxPool)

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Features:
        """Compute the feature maps; see :meth:`Backbone.forward`."""
        return outputs_of(self.stage_modules(), images, recompute=self.recomputes)


def vgg11(in_channels: int = 3, *, batch_norm: bool = False) -> VGG:
    """Create configuration A, 8 convolutions; the arguments are those of :class:`VGG`."""
    return VGG((1, 1, 2, 2, 2), in_channels, batch_norm=batch_norm)


def vgg13(in_channels: int = 3, *, batch_norm: bool = False) -> VGG:
    """Create configuration B, 10 convolutions; the arguments are those of :class:`VGG`."""
    return VGG((2, 2, 2, 2, 2), in_channels, batch_norm=batch_norm)


def vgg16(in_channels: int = 3, *, batch_norm: bool = False) -> VGG:
    """Create configuration D, 13 convolutions; the arguments are those of :class:`VGG`."""
    return VGG((2, 2, 3, 3, 3), in_channels, batch_norm=batch_norm)


def vgg19(in_channels: int = 3, *, batch_norm: bool = False) -> VGG:
    """Create configuration E, 16 convolutions; the arguments are those of :class:`VGG`."""
    return VGG((2, 2, 4, 4, 4), in_channels, batch_norm=batch_norm)
