"""Inception-v3."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import Backbone, Features
from visiontasks.backbones.inception import BasicConv2d
from visiontasks.backbones.initialization import initialize_convolutions


class InceptionA(nn.Module):
    """1x1, 5x5 and two 3x3 convolutions in a row (Figure 5 of the paper).

    Args:
        in_channels: Channels of the input.
        pool_features: Filters after the pooling; the output has 224 more channels.
    """

    def __init__(self, in_channels: int, pool_features: int) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(in_channels, 64)
        self.branch5x5_1 = BasicConv2d(in_channels, 48)
        self.branch5x5_2 = BasicConv2d(48, 64, 5)
        self.branch3x3dbl_1 = BasicConv2d(in_channels, 64)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3)
        self.branch_pool = BasicConv2d(in_channels, pool_features)

    def forward(self, x: Float[Tensor, "batch _ height width"]) -> Float[Tensor, "batch _ height width"]:
        """Apply the module, shape [B, C, H, W] to [B, 224 + pool_features, H, W]."""
        one = self.branch1x1(x)
        five = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        pool = self.branch_pool(F.avg_pool2d(x, 3, 1, 1))
        return torch.cat([one, five, double, pool], 1)


class InceptionB(nn.Module):
    """Convolutions in parallel with a pooling that halve the map (Figure 10 of the paper), 288 to 768 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3 = BasicConv2d(288, 384, 3, 2)
        self.branch3x3dbl_1 = BasicConv2d(288, 64)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, 2)

    def forward(self, x: Float[Tensor, "batch 288 height width"]) -> Float[Tensor, "batch 768 _ _"]:
        """Apply the module, shape [B, 288, H, W] to [B, 768, ceil(H / 2), ceil(W / 2)]."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2, 1)], 1)


class InceptionC(nn.Module):
    """7x7 convolutions, factorised into 1x7 and 7x1 (Figure 6 of the paper), 768 channels.

    Args:
        channels: Filters of the inner convolutions.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(768, 192)
        self.branch7x7_1 = BasicConv2d(768, channels)
        self.branch7x7_2 = BasicConv2d(channels, channels, (1, 7))
        self.branch7x7_3 = BasicConv2d(channels, 192, (7, 1))
        self.branch7x7dbl_1 = BasicConv2d(768, channels)
        self.branch7x7dbl_2 = BasicConv2d(channels, channels, (7, 1))
        self.branch7x7dbl_3 = BasicConv2d(channels, channels, (1, 7))
        self.branch7x7dbl_4 = BasicConv2d(channels, channels, (7, 1))
        self.branch7x7dbl_5 = BasicConv2d(channels, 192, (1, 7))
        self.branch_pool = BasicConv2d(768, 192)

    def forward(self, x: Float[Tensor, "batch 768 height width"]) -> Float[Tensor, "batch 768 height width"]:
        """Apply the module, shape [B, 768, H, W] to [B, 768, H, W]."""
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        pool = self.branch_pool(F.avg_pool2d(x, 3, 1, 1))
        return torch.cat([self.branch1x1(x), seven, double, pool], 1)


class InceptionD(nn.Module):
    """Convolutions in parallel with a pooling that halve the map, 768 to 1280 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = BasicConv2d(768, 192)
        self.branch3x3_2 = BasicConv2d(192, 320, 3, 2)
        self.branch7x7x3_1 = BasicConv2d(768, 192)
        self.branch7x7x3_2 = BasicConv2d(192, 192, (1, 7))
        self.branch7x7x3_3 = BasicConv2d(192, 192, (7, 1))
        self.branch7x7x3_4 = BasicConv2d(192, 192, 3, 2)

    def forward(self, x: Float[Tensor, "batch 768 height width"]) -> Float[Tensor, "batch 1280 _ _"]:
        """Apply the module, shape [B, 768, H, W] to [B, 1280, ceil(H / 2), ceil(W / 2)]."""
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([three, seven, F.max_pool2d(x, 3, 2, 1)], 1)


class InceptionE(nn.Module):
    """3x3 convolutions that end in parallel 1x3 and 3x1 convolutions (Figure 7 of the paper), to 2048 channels.

    Args:
        in_channels: Channels of the input.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(in_channels, 320)
        self.branch3x3_1 = BasicConv2d(in_channels, 384)
        self.branch3x3_2a = BasicConv2d(384, 384, (1, 3))
        self.branch3x3_2b = BasicConv2d(384, 384, (3, 1))
        self.branch3x3dbl_1 = BasicConv2d(in_channels, 448)
        self.branch3x3dbl_2 = BasicConv2d(448, 384, 3)
        self.branch3x3dbl_3a = BasicConv2d(384, 384, (1, 3))
        self.branch3x3dbl_3b = BasicConv2d(384, 384, (3, 1))
        self.branch_pool = BasicConv2d(in_channels, 192)

    def forward(self, x: Float[Tensor, "batch _ height width"]) -> Float[Tensor, "batch 2048 height width"]:
        """Apply the module, shape [B, C, H, W] to [B, 2048, H, W]."""
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        branches = [
            self.branch1x1(x),
            self.branch3x3_2a(three),
            self.branch3x3_2b(three),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(F.avg_pool2d(x, 3, 1, 1)),
        ]
        return torch.cat(branches, 1)


class InceptionV3(Backbone):
    """Inception-v3, padded to keep the stride contract.

    Szegedy et al., Rethinking the Inception architecture for computer vision (CVPR 2016), in torchvision's form.

    The feature maps are those of Conv2d_2b, Conv2d_4a, Mixed_5d, Mixed_6e and Mixed_7c, with strides 2, 4, 8, 16 and
    32. Images may be of any size from 1x1. Parameters have torchvision's names, so that its weights can be loaded
    (without ``fc`` and ``AuxLogits``).

    Every convolution and pooling is padded by half its kernel size, so that features are aligned with the image.
    Torchvision, like the paper, omits the padding in seven layers: for 299x299 pixels its maps have sides of 147, 71,
    35, 17 and 8 instead of 150, 75, 38, 19 and 10, and are shifted by 3 to 22 pixels. With the same weights, features
    away from the border equal those of its network for an image shifted by a few pixels; near the border they see more
    zeros. Measured on photographs of COCO, with random weights: the means of the maps differ from torchvision's by
    0.03, 0.07, 0.13, 0.28 and 0.40 of the distance between two photographs (shifting a photograph by 4 pixels changes
    the last of torchvision's by 0.39).

    Args:
        in_channels: Channels of the images.

    Example:
        >>> with torch.device("meta"):
        ...     backbone = InceptionV3()
        >>> backbone.channels
        (64, 192, 288, 768, 2048)
    """

    auxiliary_channels = (768,)
    pretrained_normalization = "unit"

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__()
        self.channels, self.strides = (64, 192, 288, 768, 2048), (2, 4, 8, 16, 32)
        self.Conv2d_1a_3x3 = BasicConv2d(in_channels, 32, 3, 2)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, 3)
        self.Conv2d_2b_3x3 = BasicConv2d(32, 64, 3)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, 3)
        self.Mixed_5b = InceptionA(192, 32)
        self.Mixed_5c = InceptionA(256, 64)
        self.Mixed_5d = InceptionA(288, 64)
        self.Mixed_6a = InceptionB()
        self.Mixed_6b = InceptionC(128)
        self.Mixed_6c = InceptionC(160)
        self.Mixed_6d = InceptionC(160)
        self.Mixed_6e = InceptionC(192)
        self.Mixed_7a = InceptionD()
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)
        initialize_convolutions(self, "fan_in")

    def stage_modules(self) -> list[list[nn.Module]]:
        """List the modules of each feature map; see :meth:`Backbone.stage_modules`."""
        return [
            [self.Conv2d_1a_3x3, self.Conv2d_2a_3x3, self.Conv2d_2b_3x3],
            [self.Conv2d_3b_1x1, self.Conv2d_4a_3x3],
            [self.Mixed_5b, self.Mixed_5c, self.Mixed_5d],
            [self.Mixed_6a, self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e],
            [self.Mixed_7a, self.Mixed_7b, self.Mixed_7c],
        ]

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Features:
        """Compute the feature maps; see :meth:`Backbone.forward`."""
        stride2 = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        stride4 = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(stride2, 3, 2, 1)))
        stride8 = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(stride4, 3, 2, 1))))
        stride16 = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(stride8)))))
        stride32 = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(stride16)))
        return [stride2, stride4, stride8, stride16, stride32]

    def forward_auxiliary(self, images: Float[Tensor, "batch channels height width"]) -> tuple[Features, Features]:
        """Compute the feature maps, and the map of Mixed_6e for the auxiliary classifier of the paper."""
        features = self.forward(images)
        return features, [features[3]]
