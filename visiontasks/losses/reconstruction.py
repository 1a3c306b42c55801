"""Reconstruction losses of pixels by name, and weighted sums of them."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from visiontasks.losses.factors import own_loss, parse_factors
from visiontasks.losses.pixels import PixelBatch, Sizes, mean_of_pixels
from visiontasks.losses.ssim import structural_similarity

ReconstructionLossName = Literal["mse", "l1", "ssim", "binary_cross_entropy"]


_OF_PIXELS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda logits, target: (logits.sigmoid() - target).square(),
    "l1": lambda logits, target: (logits.sigmoid() - target).abs(),
    "binary_cross_entropy": lambda logits, target: F.binary_cross_entropy_with_logits(logits, target, reduction="none"),
}
_LOSSES = ("mse", "l1", "ssim", "binary_cross_entropy")


class ReconstructionLoss:
    """A weighted sum of losses, each averaged over the pixels of an image, and then over the images.

    Args:
        loss: Name of a loss, or a factor for each of several, such as ``{"mse": 1.0, "ssim": 0.1}``. ``"mse"`` and
            ``"l1"`` are the mean squared and the mean absolute difference; ``"ssim"`` is 1 minus the structural
            similarity, see :func:`~visiontasks.losses.ssim.structural_similarity`; ``"binary_cross_entropy"`` treats a
            pixel value as a probability. A name with a dot is the import path of a function or module of your own,
            called with reconstructed and target pixels, in 0 to 1; it returns a loss of each pixel, or a mean.

    Raises:
        ArgumentError: If a loss is unknown or a factor is not positive.

    Example:
        >>> import torch
        >>> loss = ReconstructionLoss({"mse": 1.0, "l1": 0.5})
        >>> loss(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4))
        {'mse': tensor(0.2500), 'l1': tensor(0.2500)}
    """

    def __init__(self, loss: ReconstructionLossName | str | Mapping[str, float]) -> None:
        self.factors = parse_factors(loss, _LOSSES)
        self.own = {name: own_loss(name) for name in self.factors if "." in name}

    def __call__(
        self, logits: PixelBatch, target: PixelBatch, sizes: Sizes | None = None
    ) -> dict[str, Float[Tensor, ""]]:
        """Compute the terms of the loss, each multiplied by its factor.

        Args:
            logits: Logits of the pixels; their sigmoid is the reconstructed image, in 0 to 1.
            target: Target pixels, in 0 to 1.
            sizes: Height and width of each image inside the padding, which does not count; None for no padding.
        """
        terms = {}
        for name, factor in self.factors.items():
            if name in self.own:
                loss = self.own[name](logits.sigmoid(), target)
                loss = mean_of_pixels(loss, sizes) if loss.ndim == 4 else loss
            elif name == "ssim":
                loss = 1 - structural_similarity(logits.sigmoid(), target, sizes)
            else:
                loss = mean_of_pixels(_OF_PIXELS[name](logits, target), sizes)
            terms[name] = factor * loss.mean()
        return terms


def normal_divergence(
    means: Float[Tensor, "batch *code"], log_variances: Float[Tensor, "batch *code"]
) -> Float[Tensor, " batch"]:
    """Compute the Kullback-Leibler divergence of normal distributions from the standard normal one.

    Kingma and Welling 2014, appendix B.

    Args:
        means: Means, of any shape.
        log_variances: Logarithms of the variances.

    Example:
        >>> import torch
        >>> normal_divergence(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2))
        tensor([0.5000])
    """
    return (means.square() + log_variances.exp() - 1 - log_variances).flatten(1).sum(1) / 2
