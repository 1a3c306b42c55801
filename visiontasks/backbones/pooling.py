"""Pooling that keeps the stride contract."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class MaxPool(nn.Module):
    """Max pooling over windows that start at pixel 0; the output has size ``ceil(H / stride)``.

    Output pixel i covers the pixels ``i * stride`` to ``i * stride + kernel_size - 1`` that are inside the image.
    ``nn.MaxPool2d(3, 2, ceil_mode=True)`` gives the same for even sizes but drops the last window for odd sizes, and
    ``ceil_mode`` cannot be exported with dynamic height and width.

    Args:
        kernel_size: Side of the window in pixels.
        stride: Stride in pixels, at most ``kernel_size``; None for ``kernel_size``.

    Example:
        >>> MaxPool(3, 2)(torch.arange(5.0).view(1, 1, 1, 5)).flatten().tolist()
        [2.0, 4.0, 4.0]
    """

    def __init__(self, kernel_size: int, stride: int | None = None) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride or kernel_size

    def extra_repr(self) -> str:
        """Return the window and the stride for the printed representation."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels _ _"]:
        """Pool, shape [B, C, H, W] to [B, C, ceil(H / stride), ceil(W / stride)]."""
        # Padding works for all sizes but copies the map, which costs a few percent of a training step of GoogLeNet.
        if torch.compiler.is_exporting() or any(map(self._leaves_out_the_last, x.shape[-2:])):
            more = self.kernel_size - 1
            x = F.pad(x, (0, more, 0, more), value=float("-inf"))
            return F.max_pool2d(x, self.kernel_size, self.stride)
        return F.max_pool2d(x, self.kernel_size, self.stride, ceil_mode=True)

    def _leaves_out_the_last(self, size: int) -> bool:
        windows = -(-(size - self.kernel_size) // self.stride) + 1
        return windows < -(-size // self.stride)


class AveragePool(nn.Module):
    """Average pooling over adjacent windows; the output has size ``ceil(H / kernel_size)``.

    If a side is not a multiple of ``kernel_size``, the last window averages over the remaining pixels only.
    ``nn.AvgPool2d(kernel_size, ceil_mode=True, count_include_pad=False)`` gives the same but cannot be exported with
    dynamic height and width.

    Args:
        kernel_size: Side of the window and stride in pixels.

    Example:
        >>> AveragePool(2)(torch.arange(5.0).view(1, 1, 1, 5)).flatten().tolist()
        [0.5, 2.5, 4.0]
    """

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size

    def extra_repr(self) -> str:
        """Return the window for the printed representation."""
        return f"kernel_size={self.kernel_size}"

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels _ _"]:
        """Pool, shape [B, C, H, W] to [B, C, ceil(H / kernel_size), ceil(W / kernel_size)]."""
        if not torch.compiler.is_exporting():
            return F.avg_pool2d(x, self.kernel_size, ceil_mode=True, count_include_pad=False)
        more = self.kernel_size - 1
        inside = F.pad(torch.ones_like(x[:1, :1]), (0, more, 0, more))
        share = F.avg_pool2d(inside, self.kernel_size)
        return F.avg_pool2d(F.pad(x, (0, more, 0, more)), self.kernel_size) / share
