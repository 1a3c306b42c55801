"""GoogLeNet, the first Inception network."""

from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import Backbone, Features
from visiontasks.backbones.inception import BasicConv2d, InceptionModule
from visiontasks.backbones.initialization import initialize_convolutions
from visiontasks.backbones.pooling import MaxPool


class GoogLeNet(Backbone):
    """A stem and nine Inception modules (Szegedy et al., Going deeper with convolutions, CVPR 2015).

    The feature maps are those of the first and the third convolution and of modules 3b, 4e and 5b, with strides 2, 4,
    8, 16 and 32. With ``small_images`` the first convolution is 3x3 with stride 1 and no pooling follows it; its map is
    left out, and the strides are 1, 2, 4 and 8. Images may be of any size from 1x1.

    Departures from the paper: batch normalisation (an option), and no local response normalisation. The auxiliary
    classifiers belong to the classification task. Parameters have torchvision's names.

    Args:
        in_channels: Channels of the images.
        batch_norm: Whether batch normalisation follows each convolution.
        small_images: Whether to use the stem for images of 28 to 64 pixels.
        as_torchvision: Whether to follow torchvision's departures, which its weights need: 3x3 filters instead of 5x5,
            and a last pooling over 2x2 pixels instead of 3x3. For image sizes that are multiples of 32 the features
            then equal torchvision's; for others its poolings drop the last row and column of an odd map.

    Example:
        >>> backbone = GoogLeNet(small_images=True)
        >>> backbone.channels, backbone.strides
        ((192, 480, 832, 1024), (1, 2, 4, 8))
    """

    auxiliary_channels = (512, 528)

    def __init__(
        self,
        in_channels: int = 3,
        *,
        batch_norm: bool = True,
        small_images: bool = False,
        as_torchvision: bool = False,
    ) -> None:
        super().__init__()
        self.small_images = small_images
        self.pretrained_normalization = "unit" if as_torchvision else "imagenet"
        if small_images:
            self.channels, self.strides = (192, 480, 832, 1024), (1, 2, 4, 8)
            self.conv1 = BasicConv2d(in_channels, 64, 3, batch_norm=batch_norm)
            self.maxpool1: nn.Module = nn.Identity()
        else:
            self.channels, self.strides = (64, 192, 480, 832, 1024), (2, 4, 8, 16, 32)
            self.conv1 = BasicConv2d(in_channels, 64, 7, 2, batch_norm=batch_norm)
            self.maxpool1 = MaxPool(3, 2)
        self.conv2 = BasicConv2d(64, 64, batch_norm=batch_norm)
        self.conv3 = BasicConv2d(64, 192, 3, batch_norm=batch_norm)
        self.maxpool2 = MaxPool(3, 2)

        # The filter numbers are those of the paper's Table 1.
        module = partial(InceptionModule, batch_norm=batch_norm, third_kernel=3 if as_torchvision else 5)
        self.inception3a = module(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = module(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = MaxPool(3, 2)
        self.inception4a = module(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = module(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = module(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = module(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = module(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = MaxPool(2) if as_torchvision else MaxPool(3, 2)
        self.inception5a = module(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = module(832, 384, 192, 384, 48, 128, 128)
        initialize_convolutions(self, "fan_in")

    def stage_modules(self) -> list[list[nn.Module]]:
        """List the modules of each feature map; see :meth:`Backbone.stage_modules`."""
        stem: list[nn.Module] = [self.conv2, self.conv3]
        first: list[list[nn.Module]] = [[self.conv1, *stem]] if self.small_images else [[self.conv1], stem]
        return [
            *first,
            [self.inception3a, self.inception3b],
            [self.inception4a, self.inception4b, self.inception4c, self.inception4d, self.inception4e],
            [self.inception5a, self.inception5b],
        ]

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Features:
        """Compute the feature maps; see :meth:`Backbone.forward`."""
        features, _ = self.forward_auxiliary(images)
        return features

    def forward_auxiliary(self, images: Float[Tensor, "batch channels height width"]) -> tuple[Features, Features]:
        """Compute the feature maps, and the maps of modules 4a and 4d for the auxiliary classifiers of the paper."""
        conv1 = self.conv1(images)
        conv3 = self.conv3(self.conv2(self.maxpool1(conv1)))
        module3b = self.inception3b(self.inception3a(self.maxpool2(conv3)))
        module4a = self.inception4a(self.maxpool3(module3b))
        module4d = self.inception4d(self.inception4c(self.inception4b(module4a)))
        module4e = self.inception4e(module4d)
        module5b = self.inception5b(self.inception5a(self.maxpool4(module4e)))
        stem = [] if self.small_images else [conv1]
        return [*stem, conv3, module3b, module4e, module5b], [module4a, module4d]


def googlenet(in_channels: int = 3, *, batch_norm: bool = True, small_images: bool = False) -> GoogLeNet:
    """Create GoogLeNet as published, with true 5x5 filters; the arguments are those of :class:`GoogLeNet`."""
    return GoogLeNet(in_channels, batch_norm=batch_norm, small_images=small_images)


def googlenet_torchvision(in_channels: int = 3) -> GoogLeNet:
    """Create the GoogLeNet variant that fits torchvision's weights; see ``as_torchvision`` of :class:`GoogLeNet`."""
    return GoogLeNet(in_channels, as_torchvision=True)
