"""A convolution with different filters at every position."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.errors import ArgumentError


class LocallyConnected2d(nn.Module):
    """A convolution whose filters differ from position to position (untied weights).

    It suits images in which every position has its own meaning, such as aligned faces (Taigman et al., DeepFace, CVPR
    2014). The size of the input is fixed.

    With h x w output positions the layer has ``h * w * out_channels * (in_channels * kernel_size ** 2 + 1)``
    parameters, h * w times those of a convolution: 1.8 million for 16 to 16 channels, 3x3 filters and 28x28 positions.
    In training it also keeps a copy of the patch around each position, ``h * w * in_channels * kernel_size ** 2``
    numbers per image, and as many again while the gradient is computed.

    Args:
        in_channels: Channels of the input.
        out_channels: Number of filters at each position.
        input_size: Side of the input in pixels, or (height, width).
        kernel_size: Side of the square filters in pixels.
        stride: Stride in pixels.
        padding: Width of the zero padding.
        bias: Whether each filter has a bias.

    Attributes:
        output_size: Height and width of the output.
        weight: The filters, shape [h * w, out_channels, kernel_size * kernel_size * in_channels]; in the last dimension
            the channels vary fastest, then the columns of a filter, then its rows.
        bias: Shape [h * w * out_channels], the filters of one position adjacent; None without a bias.

    Raises:
        ArgumentError: If a number is out of range, or the filters are larger than the padded input.

    Example:
        >>> layer = LocallyConnected2d(1, 8, input_size=28, kernel_size=3, padding=1)
        >>> tuple(layer(torch.zeros(2, 1, 28, 28)).shape), sum(p.numel() for p in layer.parameters())
        ((2, 8, 28, 28), 62720)
    """

    bias: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: int | tuple[int, int],
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        height, width = (input_size, input_size) if isinstance(input_size, int) else input_size
        if min(in_channels, out_channels, height, width, kernel_size, stride) < 1 or padding < 0:
            message = (
                f"in_channels={in_channels}, out_channels={out_channels}, input_size={input_size}, "
                f"kernel_size={kernel_size}, stride={stride}, padding={padding}; expected 1 or more of each, and 0 or "
                "more for padding."
            )
            raise ArgumentError(message)
        if kernel_size > min(height, width) + 2 * padding:
            message = (
                f"kernel_size is {kernel_size} for an input of {height} x {width} with {padding} zeros around it; "
                "expected filters that fit in: give a smaller kernel_size or more padding."
            )
            raise ArgumentError(message)
        self.in_channels, self.out_channels, self.input_size = in_channels, out_channels, (height, width)
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        down, right = ((size + 2 * padding - kernel_size) // stride + 1 for size in (height, width))
        self.output_size = (down, right)
        places, inputs = down * right, in_channels * kernel_size**2
        bound = inputs**-0.5  # as nn.Conv2d
        self.weight = nn.Parameter(torch.empty(places, out_channels, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(places * out_channels).uniform_(-bound, bound)) if bias else None

    def extra_repr(self) -> str:
        """Return the sizes for the printed representation."""
        return (
            f"{self.in_channels}, {self.out_channels}, input_size={self.input_size}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}, bias={self.bias is not None}"
        )

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch _ _ _"]:
        """Apply the layer.

        Args:
            x: Input, shape ``[B, in_channels, *input_size]``.

        Returns:
            Output, shape ``[B, out_channels, *output_size]``.

        Raises:
            ArgumentError: If the input has another size.
        """
        if x.shape[1:] != (self.in_channels, *self.input_size):
            message = (
                f"the input has shape {tuple(x.shape)}; expected [B, {self.in_channels}, {self.input_size[0]}, "
                f"{self.input_size[1]}]: a locally connected layer has filters for one image size only; resize the "
                "images, or create the layer with their input_size."
            )
            raise ArgumentError(message)
        height, width = self.output_size
        # With the images last, patches are long runs of memory, and each position is one matrix product.
        pad = self.padding
        padded = F.pad(x.permute(2, 3, 1, 0), (0, 0, 0, 0, pad, pad, pad, pad)).contiguous()
        down, right = self.stride * (height - 1) + 1, self.stride * (width - 1) + 1
        shifted = [
            padded[row : row + down : self.stride, column : column + right : self.stride]
            for row in range(self.kernel_size)
            for column in range(self.kernel_size)
        ]
        patches = torch.cat(shifted, 2).flatten(0, 1)
        if self.bias is None:
            y = torch.bmm(self.weight, patches)
        else:
            y = torch.baddbmm(self.bias.view(-1, self.out_channels, 1), self.weight, patches)
        places: Tensor = _ContiguousGradient.apply(y)
        return places.permute(2, 1, 0).reshape(x.shape[0], self.out_channels, height, width).contiguous()


class _ContiguousGradient(torch.autograd.Function):
    """Identity with a contiguous gradient: on the CPU, torch multiplies other batches of matrices one by one."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:  # noqa: ANN401 (typed by torch alike)
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401 (typed by torch alike)
        return gradient.contiguous()
