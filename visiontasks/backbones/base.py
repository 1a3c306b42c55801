"""The contract of every backbone: an image goes in, feature maps come out, fine to coarse."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

Features = list[Float[Tensor, "batch _ _ _"]]
"""Feature maps, fine to coarse; map i has the channels and the stride that the backbone states for i."""


class Backbone(nn.Module, ABC):
    """An image network without its head.

    A subclass states ``channels`` and ``strides`` and implements :meth:`forward`; that is all a task needs to know.
    Feature map i has ``channels[i]`` channels, height ``ceil(H / strides[i])`` and width ``ceil(W / strides[i])`` for
    an input of any height H and width W; :func:`visiontasks.testing.check_backbone` holds an implementation to it.

    Attributes:
        channels: Number of channels of each feature map, fine to coarse.
        strides: Pixels of the input per pixel of each feature map, exact powers of two, fine to coarse.
        auxiliary_channels: Channels of the maps that auxiliary classifiers read; empty for most networks.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    auxiliary_channels: tuple[int, ...] = ()

    @abstractmethod
    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Features:
        """Compute the feature maps of normalised images.

        Args:
            images: Normalised images, shape [B, C, H, W].

        Returns:
            One feature map per entry of ``channels`` and ``strides``, fine to coarse.
        """

    def forward_auxiliary(self, images: Float[Tensor, "batch channels height width"]) -> tuple[Features, Features]:
        """Compute the feature maps, and apart from them the maps that auxiliary classifiers read.

        Args:
            images: Normalised images, shape [B, C, H, W].

        Returns:
            What :meth:`forward` returns, and one map per entry of ``auxiliary_channels``.
        """
        return self(images), []
