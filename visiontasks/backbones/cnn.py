"""Plain stacks of convolutions."""

from collections.abc import Sequence
from typing import Literal, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import Backbone, Features
from visiontasks.backbones.layers import Activation, ConvBlock, Norm
from visiontasks.backbones.pooling import AveragePool, MaxPool
from visiontasks.errors import ArgumentError

Pool = Literal["max", "average", "none"]
Layer = Literal["convolution", "locally_connected"]
_Value = TypeVar("_Value", int, str)


def make_pool(pool: Pool, pool_size: int) -> nn.Module:
    """Create a pooling layer whose output has size ``ceil(H / pool_size)``.

    Args:
        pool: ``"max"`` or ``"average"`` (over the pixels inside the image only).
        pool_size: Side of the window and stride in pixels.

    Returns:
        The layer.

    Raises:
        ArgumentError: If the name is unknown.
    """
    if pool == "max":
        return MaxPool(pool_size)
    if pool == "average":
        return AveragePool(pool_size)
    message = f"pool is {pool!r}; expected 'max', 'average' or 'none'."
    raise ArgumentError(message)


class CNN(Backbone):
    """A plain stack of stages: convolution blocks, then pooling.

    The feature maps are those before each pooling and the last one; with the defaults their strides are 1, 2, 4 and 8.

    Args:
        in_channels: Channels of the images.
        filters: Number of filters of each stage.
        depth: Number of convolution blocks of each stage; one number, or one per stage.
        kernel_size: Side of the square filters in pixels, odd; one number, or one per stage.
        stride: Stride of the first convolution of each stage, a power of two; one number, or one per stage.
        padding: Width of the zero padding that a filter may see; None for ``(kernel_size - 1) / 2``. See
            :class:`~visiontasks.backbones.layers.ConvBlock`.
        norm: Normalisation after each convolution: ``"batch"``, ``"group"``, ``"instance"`` or ``"none"``.
        pool: Pooling after each stage: ``"max"``, ``"average"`` or ``"none"``.
        pool_size: Side of the pooling window and its stride, 2 or 4 pixels.
        layer: ``"convolution"``, or ``"locally_connected"`` for different filters at every position; one name, or one
            per stage. See :class:`~visiontasks.backbones.locally_connected.LocallyConnected2d`.
        input_size: Side of the images in pixels, or (height, width); needed only by locally connected layers.
        activation: ``"relu"``, ``"silu"`` or ``"gelu"``; see :func:`~visiontasks.backbones.layers.make_activation`.

    Raises:
        ArgumentError: If an argument is out of range, or the length of a list differs from that of ``filters``.

    Example:
        >>> import torch
        >>> backbone = CNN(filters=(16, 32))
        >>> backbone.channels, backbone.strides
        ((16, 32, 32), (1, 2, 4))
        >>> [tuple(feature.shape) for feature in backbone(torch.zeros(1, 3, 33, 20))]
        [(1, 16, 33, 20), (1, 32, 17, 10), (1, 32, 9, 5)]
    """

    def __init__(
        self,
        in_channels: int = 3,
        filters: Sequence[int] = (32, 64, 128),
        depth: int | Sequence[int] = 2,
        kernel_size: int | Sequence[int] = 3,
        stride: int | Sequence[int] = 1,
        padding: int | None = None,
        norm: Norm = "batch",
        pool: Pool = "max",
        pool_size: int = 2,
        layer: Layer | Sequence[Layer] = "convolution",
        input_size: int | tuple[int, int] | None = None,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        depths = _per_stage("depth", depth, len(filters))
        if not filters or min(filters) < 1 or min(depths) < 1:
            message = f"filters is {list(filters)} and depth {depth}; expected at least one stage, block and filter."
            raise ArgumentError(message)
        if pool_size not in (2, 4):
            message = f"pool_size is {pool_size}; expected 2 or 4."
            raise ArgumentError(message)
        kernel_sizes = _per_stage("kernel_size", kernel_size, len(filters))
        stage_strides = _per_stage("stride", stride, len(filters))
        layers: Sequence[str] = _per_stage("layer", layer, len(filters))
        if set(layers) - {"convolution", "locally_connected"} or ("locally_connected" in layers and input_size is None):
            message = (
                f"layer is {layer!r} and input_size {input_size}; expected 'convolution' or 'locally_connected', the "
                "latter with the input_size of the images: it has filters for one size only."
            )
            raise ArgumentError(message)
        height, width = (input_size, input_size) if isinstance(input_size, int) else input_size or (1, 1)
        self.stages = nn.ModuleList()
        self.pools = nn.ModuleList()
        channels, strides, total = [], [], 1
        inputs = in_channels
        stages = zip(filters, depths, kernel_sizes, stage_strides, layers, strict=True)
        for count, repeats, kernel, step, kind in stages:
            if step < 1 or step & (step - 1):
                message = f"stride is {step}; expected a power of two, such as 1 or 2."
                raise ArgumentError(message)
            blocks = []
            for block_stride in (step, *[1] * (repeats - 1)):
                size = (-(-height // total), -(-width // total)) if kind == "locally_connected" else None
                blocks.append(ConvBlock(inputs, count, kernel, block_stride, padding, norm, size, activation))
                inputs, total = count, total * block_stride
            self.stages.append(nn.Sequential(*blocks))
            channels.append(count)
            strides.append(total)
            if pool != "none":
                self.pools.append(make_pool(pool, pool_size))
                total *= pool_size
        if pool != "none":
            channels.append(inputs)
            strides.append(total)
        self.channels, self.strides = tuple(channels), tuple(strides)

    def stage_modules(self) -> list[list[nn.Module]]:
        """List the modules of each feature map; see :meth:`Backbone.stage_modules`."""
        return [*([stage] for stage in self.stages), *([[]] if self.pools else [])]

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Features:
        """Compute the feature maps; see :meth:`Backbone.forward`."""
        features = []
        x = images
        for index, stage in enumerate(self.stages):
            x = stage(x)
            features.append(x)
            if self.pools:
                x = self.pools[index](x)
        if self.pools:
            features.append(x)
        return features


def _per_stage(name: str, value: _Value | Sequence[_Value], stages: int) -> Sequence[_Value]:
    values = [value] * stages if isinstance(value, int | str) else value
    if len(values) != stages:
        message = f"{name} has {len(values)} values for {stages} stages; give one number, or one per stage."
        raise ArgumentError(message)
    return values
