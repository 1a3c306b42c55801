"""The contract of every decoder: feature maps go in, one map of logits at the size of the image comes out."""

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.arguments import made_with, note_constructor, noting
from visiontasks.backbones.backbone import Features


class Decoder(nn.Module, ABC):
    """A network from the feature maps of a backbone to logits for every pixel.

    A subclass accepts the channels and strides of any backbone. Since feature map i has height
    ``ceil(H / strides[i])``, a map upsampled by the quotient of two strides is never smaller than the finer map, and is
    cropped to it. So pixel (y, x) of a map stays aligned with pixel (y * stride, x * stride) of the image for any image
    size.

    Args:
        channels: Channels of each feature map, fine to coarse.
        strides: Stride of each feature map in pixels of the image, fine to coarse.
    """

    made_with: dict[str, object] | None = None
    """Arguments of its constructor, from which a checkpoint makes it again; None if not all are plain values."""

    def __init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401 (of any base beside this one)
        """Record the arguments of the constructor."""
        super().__init_subclass__(**kwargs)
        note_constructor(cls)

    @noting
    def __init__(self, channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
        super().__init__()
        self.made_with = made_with(self)
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
