"""Residual networks."""

from collections.abc import Callable, Sequence
from functools import partial

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import Backbone, Features
from visiontasks.backbones.initialization import initialize_convolutions
from visiontasks.errors import ArgumentError


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, added to their input.

    Args:
        in_channels: Channels of the input.
        channels: Filters of both convolutions.
        stride: Stride of the first convolution.
    """

    expansion = 1
    """Channels of the output per filter of the inner convolutions."""
    drop_probability = 0.0
    """Probability that its convolutions are left out for an image in training."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x: Float[Tensor, "batch _ height width"]) -> Float[Tensor, "batch _ _ _"]:
        """Apply the block, shape [B, C, H, W] to [B, channels, ceil(H / stride), ceil(W / stride)]."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = _dropped(self, self.bn2(self.conv2(y)))
        y += self.downsample(x)
        return F.relu(y, inplace=True)


class Bottleneck(nn.Module):
    """A 3x3 convolution between 1x1 convolutions that reduce and restore the channels, added to the input.

    Args:
        in_channels: Channels of the input.
        channels: Filters of the first two convolutions; the third has four times as many.
        stride: Stride of the block.
        stride_in_1x1: Whether the first 1x1 convolution has it, as in He et al.; otherwise the 3x3 convolution, as in
            torchvision and most published weights.
    """

    expansion = 4
    """Channels of the output per filter of the inner convolutions."""
    drop_probability = 0.0
    """Probability that its convolutions are left out for an image in training."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1, *, stride_in_1x1: bool = False) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        first, second = (stride, 1) if stride_in_1x1 else (1, stride)
        self.conv1 = nn.Conv2d(in_channels, channels, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, second, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Float[Tensor, "batch _ height width"]) -> Float[Tensor, "batch _ _ _"]:
        """Apply the block, shape [B, C, H, W] to [B, 4 * channels, ceil(H / stride), ceil(W / stride)]."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = _dropped(self, self.bn3(self.conv3(y)))
        y += self.downsample(x)
        return F.relu(y, inplace=True)


def _dropped(block: BasicBlock | Bottleneck, residual: Tensor) -> Tensor:
    """Leave out the residual of some images in training, and scale the others so that the mean stays."""
    if not (block.training and block.drop_probability):
        return residual
    from torchvision.ops import stochastic_depth  # which takes half a second to import

    dropped: Tensor = stochastic_depth(residual, block.drop_probability, "row")
    return dropped


class ResNet(Backbone):
    """A residual network (He et al., Deep residual learning for image recognition, CVPR 2016).

    The feature maps are those of the stem, before its pooling, and of the four layers, with strides 2, 4, 8, 16 and 32.
    With ``small_images`` the stem is one 3x3 convolution of stride 1 without pooling, and the maps are those of the
    four layers, with strides 1, 2, 4 and 8; the stem's map has the stride of the first layer's and is left out.

    Parameters have torchvision's names, so that its weights can be loaded. Images may be of any size from 1x1.

    Args:
        block: The residual block.
        depths: Number of blocks in each of the four layers.
        in_channels: Channels of the images.
        small_images: Whether to use the stem for images of 28 to 64 pixels.
        zero_init_residual: Whether the last scale of each block starts at zero, so that the block starts as the
            identity (Goyal et al., Accurate, large minibatch SGD, 2017, section 5.1).
        stochastic_depth: Probability, 0 to below 1, that the convolutions of the last block are left out for an image
            in training; it grows linearly from the first block on (Huang et al., Deep networks with stochastic depth,
            ECCV 2016, equation 4). What is not left out is scaled in training, so that evaluation is as without.
        stride_in_1x1: See :class:`Bottleneck`; for weights of Detectron2 and of MMDetection's style ``caffe``.

    Raises:
        ArgumentError: If the probability is out of range, or basic blocks are to have strides in 1x1 convolutions.

    Example:
        >>> ResNet(Bottleneck, (3, 4, 6, 3)).channels
        (64, 256, 512, 1024, 2048)
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        in_channels: int = 3,
        *,
        small_images: bool = False,
        zero_init_residual: bool = False,
        stochastic_depth: float = 0.0,
        stride_in_1x1: bool = False,
    ) -> None:
        super().__init__()
        if stride_in_1x1 and block is not Bottleneck:
            message = "stride_in_1x1 is for bottleneck blocks, which ResNets of 50 layers and more have."
            raise ArgumentError(message)
        self.small_images, self.stride_in_1x1 = small_images, stride_in_1x1
        widths = [width * block.expansion for width in (64, 128, 256, 512)]
        if small_images:
            self.channels, self.strides = tuple(widths), (1, 2, 4, 8)
            self.conv1 = nn.Conv2d(in_channels, 64, 3, 1, 1, bias=False)
            self.maxpool: nn.Module = nn.Identity()
        else:
            self.channels, self.strides = (64, *widths), (2, 4, 8, 16, 32)
            self.conv1 = nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.bn1 = nn.BatchNorm2d(64)
        make = partial(Bottleneck, stride_in_1x1=True) if stride_in_1x1 else block
        self.layer1 = _layer(make, block.expansion, 64, 64, depths[0], 1)
        self.layer2 = _layer(make, block.expansion, widths[0], 128, depths[1], 2)
        self.layer3 = _layer(make, block.expansion, widths[1], 256, depths[2], 2)
        self.layer4 = _layer(make, block.expansion, widths[2], 512, depths[3], 2)
        if not 0 <= stochastic_depth < 1:
            message = f"stochastic_depth is {stochastic_depth}; expected a probability of at least 0 and below 1."
            raise ArgumentError(message)
        blocks = [module for module in self.modules() if isinstance(module, BasicBlock | Bottleneck)]
        for number, each in enumerate(blocks, 1):
            each.drop_probability = stochastic_depth * number / len(blocks)
        initialize_convolutions(self, "fan_out")
        if zero_init_residual:
            for module in self.modules():
                if isinstance(module, BasicBlock):
                    nn.init.zeros_(module.bn2.weight)
                elif isinstance(module, Bottleneck):
                    nn.init.zeros_(module.bn3.weight)

    def stage_modules(self) -> list[list[nn.Module]]:
        """List the modules of each feature map; see :meth:`Backbone.stage_modules`."""
        stem: list[nn.Module] = [self.conv1, self.bn1]
        layers: list[nn.Module] = [self.layer1, self.layer2, self.layer3, self.layer4]
        if self.small_images:
            return [[*stem, layers[0]], *([layer] for layer in layers[1:])]
        return [stem, *([layer] for layer in layers)]

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Features:
        """Compute the feature maps; see :meth:`Backbone.forward`."""
        stem = F.relu(self.bn1(self.conv1(images)), inplace=True)
        features = [] if self.small_images else [stem]
        x = self.maxpool(stem)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x)
        return features


def _layer(
    make: Callable[..., nn.Module], expansion: int, in_channels: int, channels: int, depth: int, stride: int
) -> nn.Sequential:
    first = make(in_channels, channels, stride)
    return nn.Sequential(first, *(make(channels * expansion, channels) for _ in range(depth - 1)))


def resnet18(
    in_channels: int = 3,
    *,
    small_images: bool = False,
    zero_init_residual: bool = False,
    stochastic_depth: float = 0.0,
) -> ResNet:
    """Create a ResNet of 18 layers (basic blocks); the arguments are those of :class:`ResNet`."""
    return ResNet(
        BasicBlock,
        (2, 2, 2, 2),
        in_channels,
        small_images=small_images,
        zero_init_residual=zero_init_residual,
        stochastic_depth=stochastic_depth,
    )


def resnet34(
    in_channels: int = 3,
    *,
    small_images: bool = False,
    zero_init_residual: bool = False,
    stochastic_depth: float = 0.0,
) -> ResNet:
    """Create a ResNet of 34 layers (basic blocks); the arguments are those of :class:`ResNet`."""
    return ResNet(
        BasicBlock,
        (3, 4, 6, 3),
        in_channels,
        small_images=small_images,
        zero_init_residual=zero_init_residual,
        stochastic_depth=stochastic_depth,
    )


def resnet50(
    in_channels: int = 3,
    *,
    small_images: bool = False,
    zero_init_residual: bool = False,
    stochastic_depth: float = 0.0,
    stride_in_1x1: bool = False,
) -> ResNet:
    """Create a ResNet of 50 layers (bottleneck blocks); the arguments are those of :class:`ResNet`."""
    return ResNet(
        Bottleneck,
        (3, 4, 6, 3),
        in_channels,
        small_images=small_images,
        zero_init_residual=zero_init_residual,
        stochastic_depth=stochastic_depth,
        stride_in_1x1=stride_in_1x1,
    )


def resnet101(
    in_channels: int = 3,
    *,
    small_images: bool = False,
    zero_init_residual: bool = False,
    stochastic_depth: float = 0.0,
    stride_in_1x1: bool = False,
) -> ResNet:
    """Create a ResNet of 101 layers (bottleneck blocks); the arguments are those of :class:`ResNet`."""
    return ResNet(
        Bottleneck,
        (3, 4, 23, 3),
        in_channels,
        small_images=small_images,
        zero_init_residual=zero_init_residual,
        stochastic_depth=stochastic_depth,
        stride_in_1x1=stride_in_1x1,
    )


def resnet152(
    in_channels: int = 3,
    *,
    small_images: bool = False,
    zero_init_residual: bool = False,
    stochastic_depth: float = 0.0,
    stride_in_1x1: bool = False,
) -> ResNet:
    """Create a ResNet of 152 layers (bottleneck blocks); the arguments are those of :class:`ResNet`."""
    return ResNet(
        Bottleneck,
        (3, 8, 36, 3),
        in_channels,
        small_images=small_images,
        zero_init_residual=zero_init_residual,
        stochastic_depth=stochastic_depth,
        stride_in_1x1=stride_in_1x1,
    )
