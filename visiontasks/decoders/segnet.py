"""SegNet: unpooling to the positions of the encoder's maxima."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import Features
from visiontasks.backbones.initialization import initialize_classifier, initialize_convolutions
from visiontasks.backbones.layers import ConvBlock, Norm
from visiontasks.decoders.decoder import Decoder
from visiontasks.decoders.upsampling import enlarge
from visiontasks.errors import ArgumentError


def unpool(
    x: Float[Tensor, "batch channels _ _"], finer: Float[Tensor, "batch channels _ _"], factor: int
) -> Float[Tensor, "batch channels _ _"]:
    """Unpool every value to the position of the maximum of its window in a finer map, with zeros elsewhere.

    The positions are computed from the finer map, which need not have been pooled. If it was, over adjacent windows of
    ``factor`` pixels, they are those of the pooling (the first of equal maxima).

    Args:
        x: Values, one for each window.
        finer: The map that gives the positions of the maxima, smaller than ``factor`` times ``x`` by less than one
            window.
        factor: Side of the windows in pixels.

    Returns:
        A map of the size of the finer one.

    Example:
        >>> import torch
        >>> finer = torch.tensor([[[[1.0, 5.0, 3.0]]]])
        >>> unpool(torch.tensor([[[[7.0, 8.0]]]]), finer, 2).tolist()
        [[[[0.0, 7.0, 8.0]]]]
    """
    _, indices = F.max_pool2d(finer.detach(), factor, ceil_mode=True, return_indices=True)
    empty = x.new_zeros(x.shape[0], x.shape[1], finer.shape[-2] * finer.shape[-1])
    filled = empty.scatter(2, indices.flatten(2), x.flatten(2))
    return filled.view(finer.shape)


class SegNet(Decoder):
    """The decoder of SegNet, on the feature maps of any backbone.

    Badrinarayanan et al., SegNet: a deep convolutional encoder-decoder architecture for image segmentation (TPAMI
    2017), section 3. A map is unpooled to the maxima of the next finer encoder map, then convolved ``depth`` times; the
    last of these convolutions outputs the channels of the following map. With VGG and cnn, whose feature maps are those
    before each pooling, this is SegNet: the positions are those of the encoder's own pooling. Backbones that downsample
    by strides have no such positions, and those of a pooling computed for the map are used; if the numbers of channels
    differ, one more convolution comes first. If the finest map is coarser than the image, logits are interpolated.

    Args:
        channels: Channels of each feature map, fine to coarse.
        strides: Strides of each feature map, fine to coarse.
        num_outputs: Number of logits per pixel.
        depth: Number of convolutions of each stage.
        norm: Normalisation after each convolution: ``"batch"``, ``"group"``, ``"instance"`` or ``"none"``.

    Raises:
        ArgumentError: If the depth is not positive.

    Example:
        >>> import torch
        >>> decoder = SegNet(channels=(16, 32, 32), strides=(1, 2, 4), num_outputs=5)
        >>> features = [torch.zeros(1, 16, 33, 20), torch.zeros(1, 32, 17, 10), torch.zeros(1, 32, 9, 5)]
        >>> decoder(features, (33, 20)).shape
        torch.Size([1, 5, 33, 20])
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        strides: tuple[int, ...],
        num_outputs: int,
        *,
        depth: int = 2,
        norm: Norm = "batch",
    ) -> None:
        super().__init__(channels, strides)
        if depth < 1:
            message = f"depth is {depth}; expected at least one convolution per stage."
            raise ArgumentError(message)
        width, last = channels[-1], len(channels) - 1
        self.adapt = ConvBlock(width, channels[last - 1], norm=norm) if last and width != channels[last - 1] else None
        self.stages = nn.ModuleList()
        for index in range(last - 1, -1, -1):
            out = channels[max(0, index - 1)]
            widths = [channels[index]] * depth + [out]
            self.stages.append(nn.Sequential(*(ConvBlock(widths[i], widths[i + 1], norm=norm) for i in range(depth))))
        self.classifier = nn.Conv2d(channels[0], num_outputs, 3, padding=1)
        initialize_convolutions(self, "fan_in")
        initialize_classifier(self.classifier)

    def forward(self, features: Features, size: tuple[int, int]) -> Float[Tensor, "batch outputs height width"]:
        """Compute the logits; see :meth:`Decoder.forward`."""
        x = features[-1]
        if self.adapt is not None:
            x = self.adapt(x)
        for index, stage in zip(range(len(features) - 2, -1, -1), self.stages, strict=True):
            factor = self.strides[index + 1] // self.strides[index]
            x = stage(unpool(x, features[index], factor) if factor > 1 else x)
        return enlarge(self.classifier(x), self.strides[0], size)
