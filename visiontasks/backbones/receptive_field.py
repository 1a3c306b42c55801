"""Receptive fields: which pixels of the image a position of a feature map can depend on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode

from visiontasks.backbones.backbone import Backbone
from visiontasks.backbones.padding import evaluating


class Interval(NamedTuple):
    """The columns that column 0 of a feature map depends on, in an image without borders.

    Attributes:
        first: The first column; negative if it lies left of the image.
        last: The last column.
    """

    first: int
    last: int

    @property
    def size(self) -> int:
        """Number of columns."""
        return self.last - self.first + 1


def receptive_fields(
    backbone: Backbone, in_channels: int = 3, indices: Sequence[int] | None = None
) -> list[Interval | None]:
    """Measure receptive fields along the width of the image.

    NaN propagates through convolution, pooling and activation to every value that depends on it. In a strip of height 1
    whose columns left of x are NaN, an output column is NaN if and only if its receptive field reaches left of x. A
    binary search for the x at which this changes gives the first column exactly; strips that are NaN on the right give
    the last one. For chains of convolutions and poolings the result equals the closed formula of Araujo, Norris and Sim
    (Computing receptive fields of convolutional neural networks, Distill 2019, equation 2).

    The receptive field of a map is the union over its channels. Weights do not matter and may be on the meta device.

    Args:
        backbone: The backbone; left unchanged.
        in_channels: Channels of the images.
        indices: The feature maps to measure; all by default.

    Returns:
        One interval per map; None if a position depends on the whole image, as with squeeze-and-excitation.

    Example:
        >>> from visiontasks import create_backbone
        >>> [field.size for field in receptive_fields(create_backbone("resnet18"))]
        [7, 43, 99, 211, 435]
    """
    chosen = range(len(backbone.strides)) if indices is None else indices
    coarsest = backbone.strides[-1]
    fields: list[Interval | None] = []
    # A receptive field that covers the whole second strip counts as unlimited.
    for width in (32 * coarsest, max(128 * coarsest, 4096)):
        strips = [_Strips(backbone, in_channels, width, mirrored) for mirrored in (False, True)]
        fields = [_interval([strip.reach(index) for strip in strips], backbone.strides[index]) for index in chosen]
        if None not in fields:
            break
    return fields


def _interval(reaches: Sequence[int | None], stride: int) -> Interval | None:
    left, right = reaches
    return None if left is None or right is None else Interval(stride - 1 - left, right)


class _Strips:
    """Images of height 1 whose first columns (last columns if mirrored) are NaN."""

    def __init__(self, backbone: Backbone, in_channels: int, width: int, mirrored: bool) -> None:
        self.backbone, self.in_channels, self.width, self.mirrored = backbone, in_channels, width, mirrored
        self.touched = cache(self._touched)

    def reach(self, index: int) -> int | None:
        """Measure how far a receptive field extends beyond the first column of its position (the last if mirrored).

        Returns:
            The distance in pixels; None if the field covers the whole strip.
        """
        stride = self.backbone.strides[index]
        # One more position becomes NaN somewhere within the next `stride` pixels; a receptive field begins there.
        low = 2 * self.backbone.strides[-1]
        high = low + stride
        before, after = self.touched(low)[index], self.touched(high)[index]
        if after >= self.width // stride:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.touched(middle)[index] == before else (low, middle)
        return after * stride - high

    def _touched(self, count: int) -> list[int]:
        """Count the columns of each map that depend on the first columns of the strip (the last if mirrored)."""
        images = torch.zeros(1, self.in_channels, 1, self.width)
        images[..., self.width - count :] = torch.nan
        if not self.mirrored:
            images = images.flip(-1)
        state: dict[str, Tensor] = {}
        for name, value in [*self.backbone.named_parameters(), *self.backbone.named_buffers()]:
            if value.is_floating_point():
                state[name] = torch.zeros(()).expand(value.shape)
            elif value.is_meta:
                state[name] = torch.zeros(value.shape, dtype=value.dtype)
        with evaluating(self.backbone), torch.no_grad(), _one_thread(), _OneChannelConvolutions():  # type: ignore[no-untyped-call]  # torch's
            features = functional_call(self.backbone, state, (images,))
            return [int(x.isnan().flatten(0, 2).any(0).sum()) for x in features]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread: distributing strips over threads takes longer than computing them, up to 30 times."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class _OneChannelConvolutions(TorchDispatchMode):
    """Propagates NaN through convolutions without multiplying by weights: each filter sees all channels as one."""

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 (torch's)
        types: Any,  # noqa: ANN401 (torch's)
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 (torch's)
        """Replace convolutions that are not transposed; leave all other operators as they are."""
        if func is not torch.ops.aten.convolution.default or args[6]:
            return func(*args, **(kwargs or {}))
        x, weight, _, stride, padding, dilation = args[:6]
        kernel = torch.ones(1, 1, *weight.shape[2:])
        touched = F.conv2d(x.isnan().any(1, keepdim=True).float(), kernel, None, stride, padding, dilation) > 0
        return torch.zeros(()).masked_fill(touched, torch.nan).expand(-1, len(weight), -1, -1).contiguous()
