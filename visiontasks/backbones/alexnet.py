"""AlexNet."""

from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import Backbone, Features
from visiontasks.backbones.initialization import initialize_convolutions
from visiontasks.backbones.layers import outputs_of, split_before


class AlexNet(Backbone):
    """The five convolutions of AlexNet, in torchvision's form, padded to keep the stride contract.

    Krizhevsky, One weird trick for parallelizing convolutional neural networks (2014), section 5: the network of 2012
    as a single column, without local response normalisation.

    The feature maps are those before each pooling and the last one, with strides 4, 8, 16 and 32. Images may be of any
    size from 1x1. Parameters have torchvision's names, so that its weights can be loaded.

    Every convolution and pooling is padded by half its kernel size, so that features are aligned with the image.
    Torchvision pads the first convolution by 2 pixels instead of 5, and the poolings not at all: for 224x224 pixels its
    last map has 6x6 positions instead of 7x7, shifted by half a position. With the same weights, features away from the
    border equal those of its network for an image shifted by a few pixels; near the border they see more zeros.
    Measured on photographs of COCO, with random weights: the mean of the last map differs from torchvision's by 0.30 of
    the distance between two photographs (shifting a photograph by 4 pixels changes torchvision's by 0.13).

    Args:
        in_channels: Channels of the images.

    Example:
        >>> backbone = AlexNet()
        >>> backbone.channels, backbone.strides
        ((64, 192, 256, 256), (4, 8, 16, 32))
    """

    recomputes = False

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        self.channels, self.strides = (64, 192, 256, 256), (4, 8, 16, 32)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 64, 11, stride=4, padding=5),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, padding=1),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, padding=1),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, padding=1),
        )
        initialize_convolutions(self, "fan_in")

    def stage_modules(self) -> list[list[nn.Module]]:
        """List the modules of each feature map; see :meth:`Backbone.stage_modules`."""
        return split_before(self.features, nn.MaxPool2d)

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Features:
        """Compute the feature maps; see :meth:`Backbone.forward`."""
        return outputs_of(self.stage_modules(), images, recompute=self.recomputes)
