"""The contract of every decoder: feature maps go in, one map of logits at the size of the image comes out."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.base import Features


class Decoder(nn.Module, ABC):
    """A network from the feature maps of a backbone to logits for every pixel.

    A subclass takes the channels and strides of any backbone, which keeps feature map i at height ``ceil(H /
    strides[i])``: what it upsamples by the quotient of two strides is never smaller than the finer map, and is cropped
    to it. So pixel (y, x) of a map stays over pixel (y * stride, x * stride) of the image whatever its size.

    Args:
        channels: Channels of each feature map, fine to coarse.
        strides: Pixels of the image per pixel of each feature map, fine to coarse.
    """

    def __init__(self, channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = channels
        self.strides = strides

    @abstractmethod
    def forward(self, features: Features, size: tuple[int, int]) -> Float[Tensor, "batch outputs height width"]:
        """Compute the logits.

        Args:
            features: Feature maps, fine to coarse.
            size: Height and width of the images in pixels.

        Returns:
            Logits, shape [B, outputs, height, width].
        """
