"""U-Net: upsampling from coarse to fine, with a skip connection from each finer map."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import Features
from visiontasks.backbones.initialization import initialize_classifier, initialize_convolutions
from visiontasks.backbones.layers import ConvBlock, Norm
from visiontasks.decoders.decoder import Decoder
from visiontasks.decoders.upsampling import Upsample, Upsampling, crop, enlarge
from visiontasks.errors import ArgumentError


class UpBlock(nn.Module):
    """Upsamples a map, concatenates the finer map, and applies two convolutions.

    Args:
        in_channels: Channels of the coarse map.
        skip_channels: Channels of the finer map; 0 for none.
        out_channels: Channels of the result.
        factor: Quotient of the strides of the two maps.
        upsampling: How the map is upsampled, see :class:`~visiontasks.decoders.upsampling.Upsample`.
        norm: Normalisation, see :func:`~visiontasks.backbones.layers.make_norm`.
    """

    def __init__(
        self, in_channels: int, skip_channels: int, out_channels: int, factor: int, upsampling: Upsampling, norm: Norm
    ) -> None:
        super().__init__()
        # Applied before upsampling: interpolation and a 1x1 convolution commute, and this is factor^2 cheaper.
        self.reduce = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.upsample = Upsample(out_channels, factor, upsampling)
        self.conv1 = ConvBlock(out_channels + skip_channels, out_channels, norm=norm)
        self.conv2 = ConvBlock(out_channels, out_channels, norm=norm)

    def forward(
        self, x: Float[Tensor, "batch _ _ _"], skip: Float[Tensor, "batch _ _ _"] | None, size: tuple[int, int]
    ) -> Float[Tensor, "batch _ _ _"]:
        """Apply the block.

        Args:
            x: The coarse map.
            skip: The finer map.
            size: Height and width of the finer map.
        """
        x = crop(self.upsample(self.reduce(x)), size)
        joined: Tensor = self.conv2(self.conv1(x if skip is None else torch.cat([x, skip], 1)))
        return joined


class UNet(Decoder):
    """The expansive path of U-Net, on the feature maps of any backbone.

    Ronneberger et al., U-Net: convolutional networks for biomedical image segmentation (MICCAI 2015), section 2. As in
    the paper, each step halves the channels, concatenates the map of the contracting path, and applies two 3x3
    convolutions with ReLUs, whose weights start with a deviation of ``sqrt(2 / inputs)`` (section 3). Unlike in the
    paper, convolutions are padded, so that the logits have the size of the image, and followed by normalisation; the
    up-convolution is a 1x1 convolution followed by interpolation (or by a transpose convolution initialised to it); and
    the last convolution is 3x3, not 1x1.

    Args:
        channels: Channels of each feature map, fine to coarse.
        strides: Strides of each feature map, fine to coarse.
        num_outputs: Number of logits per pixel.
        widths: Channels of each step, coarse to fine: one step per finer map, and one more to the pixels of the image
            if the finest map has a stride above 1. With fewer steps the logits are computed at the last stride reached
            and interpolated from there, which saves the most expensive steps. By default all steps, with 16 times the
            stride but at most 256 channels: 256, 128, 64, 32 and 16.
        upsampling: ``"bilinear"``, ``"nearest"`` or ``"transpose"``.
        norm: Normalisation after each convolution: ``"batch"``, ``"group"``, ``"instance"`` or ``"none"``.
        dropout: Probability that a channel of the last map is dropped in training, 0 to 1.

    Raises:
        ArgumentError: If there are more widths than steps.

    Example:
        >>> decoder = UNet(channels=(16, 32), strides=(2, 4), num_outputs=5)
        >>> features = [torch.zeros(1, 16, 17, 10), torch.zeros(1, 32, 9, 5)]
        >>> decoder(features, (33, 20)).shape
        torch.Size([1, 5, 33, 20])
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        num_outputs: int,
        *,
        widths: Sequence[int] | None = None,
        upsampling: Upsampling = "bilinear",
        norm: Norm = "batch",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(channels, strides)
        # Maps of the skip connections, coarse to fine; there is none at the pixels of the image.
        skips = list(zip(channels, strides, strict=True))[-2::-1]
        if strides[0] > 1:
            skips.append((0, 1))
        if widths is None:
            widths = [min(256, 16 * stride) for _, stride in skips]
        if len(widths) > len(skips) or (widths and min(widths) < 1):
            message = (
                f"widths is {list(widths)}; expected at most {len(skips)} numbers of channels, one per step from "
                f"stride {strides[-1]} to {skips[-1][1] if skips else strides[-1]}."
            )
            raise ArgumentError(message)
        reached = [strides[-1], *(stride for _, stride in skips[: len(widths)])]
        factors = [coarse // fine for coarse, fine in pairwise(reached)]
        self.blocks = nn.ModuleList()
        width = channels[-1]
        for (skip, _), out, factor in zip(skips, widths, factors, strict=False):
            self.blocks.append(UpBlock(width, skip, out, factor, upsampling, norm))
            width = out
        self.stride = reached[-1]
        self.dropout = nn.Dropout2d(dropout)
        # Few weights limit how fast logits can grow: after 50 steps on road scenes the loss is 1.22, with 3x3 1.09.
        self.classifier = nn.Conv2d(width, num_outputs, 3, padding=1)
        initialize_convolutions(self, "fan_in")
        initialize_classifier(self.classifier)

    def forward(self, features: Features, size: tuple[int, int]) -> Float[Tensor, "batch outputs height width"]:
        """Compute the logits; see :meth:`Decoder.forward`."""
        *skips, x = features
        for block in self.blocks:
            skip = skips.pop() if skips else None
            x = block(x, skip, size if skip is None else (skip.shape[-2], skip.shape[-1]))
        return enlarge(self.classifier(self.dropout(x)), self.stride, size)
