"""Fully convolutional networks: class scores of a coarse map, upsampled and refined by those of finer maps."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import Features
from visiontasks.backbones.initialization import initialize_classifier
from visiontasks.decoders.decoder import Decoder
from visiontasks.decoders.upsampling import BilinearTranspose, crop
from visiontasks.errors import ArgumentError


class FCN(Decoder):
    """FCN-32s, 16s and 8s (Long et al., Fully convolutional networks for semantic segmentation, CVPR 2015).

    A 1x1 convolution computes the class scores of each map. Starting from the coarsest map, scores are upsampled by a
    transpose convolution, and those of the next finer map are added (section 4.2); the last transpose convolution
    upsamples them to the pixels of the image. All transpose convolutions are initialised to bilinear interpolation, and
    the scores of the finer maps to zero, so that training starts from the coarsest map alone. The last one is trained
    as well; in the paper it is fixed. Padding is that of the backbone; the paper pads the image by 100 pixels and
    crops.

    Args:
        channels: Channels of each feature map, fine to coarse.
        strides: Strides of each feature map, fine to coarse.
        num_outputs: Number of logits per pixel.
        stride: Stride of the finest map that is used: 32 for FCN-32s, 16 for FCN-16s, 8 for FCN-8s. Finer maps are left
            out; the coarsest is always used.

    Raises:
        ArgumentError: If the stride is not positive.

    Example:
        >>> import torch
        >>> decoder = FCN(channels=(16, 32, 64), strides=(4, 8, 16), num_outputs=5)
        >>> features = [torch.zeros(1, 16, 9, 5), torch.zeros(1, 32, 5, 3), torch.zeros(1, 64, 3, 2)]
        >>> decoder(features, (33, 20)).shape, [layer.in_channels for layer in decoder.scores]
        (torch.Size([1, 5, 33, 20]), [64, 32])
    """

    def __init__(
        self, channels: tuple[int, ...], strides: tuple[int, ...], num_outputs: int, *, stride: int = 8
    ) -> None:
        super().__init__(channels, strides)
        if stride < 1:
            message = f"stride is {stride}; expected that of the finest map to be used, such as 8 for FCN-8s."
            raise ArgumentError(message)
        used = sum(reduction >= stride for reduction in strides[:-1]) + 1
        coarse_first = strides[: -used - 1 : -1]
        scores = [nn.Conv2d(width, num_outputs, 1) for width in channels[: -used - 1 : -1]]
        initialize_classifier(scores[0])
        for skip in scores[1:]:
            for parameter in skip.parameters():
                nn.init.zeros_(parameter)
        self.scores = nn.ModuleList(scores)
        factors = [coarse // fine for coarse, fine in pairwise((*coarse_first, 1))]
        self.enlarge = nn.ModuleList(
            BilinearTranspose(num_outputs, factor) if factor > 1 else nn.Identity() for factor in factors
        )

    def forward(self, features: Features, size: tuple[int, int]) -> Float[Tensor, "batch outputs height width"]:
        """Compute the logits; see :meth:`Decoder.forward`."""
        coarse_first = features[: -len(self.scores) - 1 : -1]
        first, *rest = (score(feature) for score, feature in zip(self.scores, coarse_first, strict=True))
        x: Tensor = first
        for enlarge, finer in zip(self.enlarge, rest, strict=False):
            x = crop(enlarge(x), (finer.shape[-2], finer.shape[-1])) + finer
        return crop(self.enlarge[-1](x), size)
