"""Networks that keep the stride contract for some image sizes only, padded to keep it for all sizes."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import Backbone, Features
from visiontasks.errors import ArgumentError

# Two sides that are multiples of every power-of-two stride up to the first; Inception networks need 75 pixels.
_SIDES = (128, 256)


class MapLayout(NamedTuple):
    """Memory layout of a feature map, and its position over the padded image.

    Attributes:
        channels_last: Whether the network returns [B, H, W, C].
        first: Row and column over the first pixel of the image.
    """

    channels_last: bool
    first: int


class PaddedBackbone(Backbone):
    """A backbone over a network that keeps the stride contract at most for multiples of its coarsest stride.

    The image is padded with zeros on the right and at the bottom to a multiple of the coarsest stride, and feature map
    i is cropped to ``ceil(H / stride)`` x ``ceil(W / stride)``. A network without padding, whose maps are smaller than
    that (Inception), also gets a margin of zeros on all four sides; its maps are cropped in the middle.

    A subclass implements :meth:`maps` and ends its constructor with :meth:`measure`.
    """

    @abstractmethod
    def maps(self, images: Float[Tensor, "batch channels height width"]) -> Sequence[Tensor]:
        """Compute the maps as the network returns them, [B, C, H, W] or [B, H, W, C], fine to coarse."""

    def measure(self, title: str, in_channels: int, remedy: str = "") -> None:
        """Measure channels, strides and borders of the maps by forward passes over images of zeros, in evaluation mode.

        Args:
            title: Name of the network in messages.
            in_channels: Channels of the images.
            remedy: Advice against a fixed input size that ends the message.

        Raises:
            ArgumentError: If the network accepts only one image size, or its maps break the contract in a way that
                padding cannot fix.
        """
        try:
            small, large = (self._probe(in_channels, side, side) for side in _SIDES)
        except Exception as error:
            message = (
                f"{title} gives no feature maps for images of {_SIDES[0]} x {_SIDES[0]} and {_SIDES[1]} x {_SIDES[1]} "
                f"pixels ({type(error).__name__}: {error}). A backbone takes images of any size; a network of a fixed "
                f"input size cannot be one.{remedy}"
            )
            raise ArgumentError(message) from error
        check_maps(title, small)
        layouts, deficits = [], []
        channels, strides = [], []
        for index, (one, two) in enumerate(zip(small, large, strict=True)):
            channels_last = one.shape[-1] == two.shape[-1]
            growth = two.shape[-2] - one.shape[-2]
            stride, rest = divmod(_SIDES[1] - _SIDES[0], growth) if growth > 0 else (0, 1)
            if rest or stride & (stride - 1):
                message = (
                    f"{title}: map {index} has shape {list(one.shape)} for images of {_SIDES[0]} x {_SIDES[0]} pixels "
                    f"and {list(two.shape)} for {_SIDES[1]} x {_SIDES[1]}; expected a stride that is a power of two."
                )
                raise ArgumentError(message)
            channels.append(one.shape[-1] if channels_last else one.shape[-3])
            strides.append(stride)
            deficits.append(_SIDES[1] // stride - two.shape[-2])
            layouts.append(channels_last)
        if any(fine >= coarse for fine, coarse in pairwise(strides)):
            message = f"{title}: the maps have strides {strides}; expected growing ones, fine to coarse."
            raise ArgumentError(message)
        self.channels, self.strides = tuple(channels), tuple(strides)
        coarsest = strides[-1]
        missing = max(deficit * stride for deficit, stride in zip(deficits, strides, strict=True))
        self.margin = -(-max(missing, 0) // (2 * coarsest)) * coarsest
        self.layouts = [
            MapLayout(channels_last, max(0, 2 * self.margin // stride - deficit) // 2)
            for channels_last, deficit, stride in zip(layouts, deficits, strides, strict=True)
        ]
        self._check_small(title, in_channels)

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Features:
        """Compute the feature maps; see :meth:`Backbone.forward`."""
        height, width = images.shape[-2:]
        coarsest, margin = self.strides[-1], self.margin
        below, right = ((side + coarsest - 1) // coarsest * coarsest - side for side in (height, width))
        # Padding by 0 would copy the images. In an exported graph the branch must not depend on the image size.
        if torch.compiler.is_exporting() or margin or below or right:
            images = F.pad(images, (margin, margin + right, margin, margin + below))
        features = []
        for x, (channels_last, first), stride in zip(self.maps(images), self.layouts, self.strides, strict=True):
            maps = x.permute(0, 3, 1, 2) if channels_last else x
            for axis, side in ((-2, height), (-1, width)):
                places = (side + stride - 1) // stride
                if torch.compiler.is_exporting():
                    # A slice would require torch.export to prove that the padded map is that large.
                    maps = maps.index_select(axis, torch.arange(first, first + places, device=maps.device))
                else:
                    maps = maps.narrow(axis, first, places)
            features.append(maps)
        return features

    def _check_small(self, title: str, in_channels: int) -> None:
        """Check that the smallest image, for which the coarsest map has an odd number of positions, works as well."""
        height, width = self.strides[-1] + 2 * self.margin, 3 * self.strides[-1] + 2 * self.margin
        try:
            maps = self._probe(in_channels, height, width)
        except Exception as error:
            message = (
                f"{title} gives no feature maps for images of {height} x {width} pixels ({type(error).__name__}: "
                f"{error}), though it does for {_SIDES[0]} x {_SIDES[0]}. A backbone takes images of any size."
            )
            raise ArgumentError(message) from error
        for x, (channels_last, first), stride in zip(maps, self.layouts, self.strides, strict=True):
            map_size = tuple(x.shape[1:3] if channels_last else x.shape[2:])
            least = [first + side * self.strides[-1] // stride for side in (1, 3)]
            if map_size[0] < least[0] or map_size[1] < least[1]:
                message = (
                    f"{title}: the map of stride {stride} has {map_size[0]} x {map_size[1]} pixels for images of "
                    f"{height} x {width} pixels; expected {least[0]} x {least[1]} by its growth from {_SIDES[0]} to "
                    f"{_SIDES[1]}."
                )
                raise ArgumentError(message)

    def _probe(self, in_channels: int, height: int, width: int) -> Sequence[Tensor]:
        with evaluating(self), torch.no_grad():
            return self.maps(zeros_for(self, in_channels, height, width))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode for the context; each module gets its own mode back afterwards."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def zeros_for(module: nn.Module, channels: int, height: int, width: int) -> Float[Tensor, "1 _ _ _"]:
    """Create an image of zeros with the device and the dtype of a network's parameters."""
    like = next(module.parameters(), torch.empty(()))
    return torch.zeros(1, channels, height, width, device=like.device, dtype=like.dtype)


def check_maps(title: str, maps: Sequence[object]) -> None:
    """Check that the outputs of a network are feature maps.

    Args:
        title: Name of the network in messages.
        maps: The outputs.

    Raises:
        ArgumentError: If an output is not a tensor of four dimensions.
    """
    for index, x in enumerate(maps):
        if not isinstance(x, Tensor) or x.ndim != 4:
            described = f"of shape {list(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
            message = f"{title}: map {index} is {described}; expected a tensor of shape [B, C, H, W] or [B, H, W, C]."
            raise ArgumentError(message)
