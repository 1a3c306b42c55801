"""Layers that backbones are built from."""

from collections.abc import Iterable
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.locally_connected import LocallyConnected2d
from visiontasks.backbones.recomputation import recomputed
from visiontasks.errors import ArgumentError, check_choice

Norm = Literal["batch", "group", "instance", "none"]
Activation = Literal["relu", "silu", "gelu"]


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Create a normalisation layer by name.

    Args:
        norm: ``"batch"``, ``"group"`` (groups of at most 16 channels), ``"instance"`` or ``"none"``.
        channels: Channels of the feature map.

    Returns:
        The layer; an identity for ``"none"``.

    Raises:
        ArgumentError: If the name is unknown.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "group":
        groups = max(1, channels // 16)
        return nn.GroupNorm(groups if channels % groups == 0 else 1, channels)
    if norm == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    if norm == "none":
        return nn.Identity()
    message = f"norm is {norm!r}; expected 'batch', 'group', 'instance' or 'none'."
    raise ArgumentError(message)


def make_activation(activation: Activation) -> nn.Module:
    """Create an activation by name.

    Args:
        activation: ``"relu"``; ``"silu"`` (x times its logistic function) or ``"gelu"`` (x times the normal
            distribution function; both Hendrycks and Gimpel, Gaussian error linear units, 2016).

    Returns:
        The layer.

    Raises:
        ArgumentError: If the name is unknown.
    """
    layers: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}
    check_choice("activation", activation, layers)
    return layers[activation]()


class ConvBlock(nn.Module):
    """Convolution, normalisation, activation; the output has size ``ceil(H / stride)`` for any padding.

    With the default padding every position of the image has an output. With less padding, filters that would reach
    beyond it have no output; zeros take their place, so that pixel (i, j) of the output stays aligned with pixel (i *
    stride, j * stride) of the input.

    Args:
        in_channels: Channels of the input.
        out_channels: Number of filters.
        kernel_size: Side of the square filters in pixels, odd.
        stride: Stride in pixels.
        padding: Width of the zero padding that a filter may see, 0 to ``(kernel_size - 1) / 2``; None for the latter.
        norm: Normalisation; see :func:`make_norm`.
        input_size: (height, width) of the input in pixels, for different filters at every position, see
            :class:`~visiontasks.backbones.locally_connected.LocallyConnected2d`; None for a convolution.
        activation: Activation; see :func:`make_activation`.

    Raises:
        ArgumentError: If the kernel size is even or not positive, the padding is out of range, or a name is unknown.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        padding: int | None = None,
        norm: Norm = "batch",
        input_size: tuple[int, int] | None = None,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            message = f"kernel_size is {kernel_size}; expected an odd number, so that the filter has a centre."
            raise ArgumentError(message)
        same = (kernel_size - 1) // 2
        if padding is not None and not 0 <= padding <= same:
            message = (
                f"padding is {padding}; expected 0 to {same} for kernel_size {kernel_size}: with more, filters would "
                "see only padding."
            )
            raise ArgumentError(message)
        self.missing_padding = 0 if padding is None else same - padding
        self.stride = stride
        bias = norm == "none"
        self.conv = (
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, same, bias=bias)
            if input_size is None
            else LocallyConnected2d(in_channels, out_channels, input_size, kernel_size, stride, same, bias)
        )
        self.norm = make_norm(norm, out_channels)
        self.activation = make_activation(activation)

    def forward(self, x: Float[Tensor, "batch _ height width"]) -> Float[Tensor, "batch _ _ _"]:
        """Apply the block, shape [B, C, H, W] to [B, out_channels, ceil(H / stride), ceil(W / stride)]."""
        if not self.missing_padding:
            activated: Tensor = self.activation(self.norm(self.conv(x)))
            return activated
        rows, columns = (self._covered(size, self.stride) for size in x.shape[-2:])
        x = self.conv(x)
        height, width = x.shape[-2:]
        x = self.activation(self.norm(x[..., slice(*rows), slice(*columns)]))
        return F.pad(x, (columns[0], width - columns[1], rows[0], height - rows[1]))

    def _covered(self, size: int, stride: int) -> tuple[int, int]:
        """Return the first output position along a side that has a value, and the first position after the last one."""
        places = -(-size // stride)
        first = min(-(-self.missing_padding // stride), places)
        return first, max(first, (size - 1 - self.missing_padding) // stride + 1)


def split_before(layers: Iterable[nn.Module], kind: type[nn.Module]) -> list[list[nn.Module]]:
    """Split layers into stages, each of which but the first begins with a layer of a kind, such as a pooling."""
    stages: list[list[nn.Module]] = [[]]
    for layer in layers:
        if isinstance(layer, kind):
            stages.append([])
        stages[-1].append(layer)
    return stages


def outputs_of(stages: Iterable[Iterable[nn.Module]], x: Tensor, *, recompute: bool | None) -> list[Tensor]:
    """Apply stages one after another, and again for their gradients if requested; return what each gives."""
    outputs = []
    for stage in stages:
        if recompute:
            layers = nn.Sequential(*stage)
            x = recomputed(layers, layers.forward, x)
        else:
            for layer in stage:
                x = layer(x)
        outputs.append(x)
    return outputs
