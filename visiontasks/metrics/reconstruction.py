"""Similarity of images and their reconstructions."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchmetrics import Metric

from visiontasks.losses.pixels import mean_of_pixels
from visiontasks.losses.ssim import structural_similarity


class ReconstructionQuality(Metric):
    """Mean squared error, peak signal-to-noise ratio and structural similarity of images in 0 to 1.

    ``mse`` is averaged over the pixels of an image, and then over all images; ``psnr`` is ``-10 log10(mse)`` of that
    mean, in decibels; ``ssim`` is the mean of :func:`~visiontasks.losses.ssim.structural_similarity`. Sums are kept, so
    that the values are the same for any number of processes; without images they are NaN. They are computed in float32
    for any precision.

    Example:
        >>> quality = ReconstructionQuality()
        >>> quality.update(torch.full((2, 1, 8, 8), 0.5), torch.full((2, 1, 8, 8), 0.6))
        >>> {name: round(value.item(), 3) for name, value in quality.compute().items()}
        {'mse': 0.01, 'psnr': 20.0, 'ssim': 0.984}
    """

    full_state_update = False
    squares: Tensor
    similarity: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        # MPS has no float64.
        dtype = torch.float32 if torch.backends.mps.is_available() else torch.float64
        for name in ("squares", "similarity"):
            self.add_state(name, torch.zeros((), dtype=dtype), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(
        self,
        images: Float[Tensor, "batch channels height width"],
        target: Float[Tensor, "batch channels height width"],
        sizes: Int64[Tensor, "batch 2"] | None = None,
    ) -> None:
        """Add a batch.

        Args:
            images: Reconstructions.
            target: The images.
            sizes: Height and width of each image inside the padding, which does not count; None for no padding.
        """
        with torch.autocast(images.device.type, enabled=False):
            images, target = images.float(), target.float()
            squares = mean_of_pixels((images - target).square(), sizes)
            similarity = structural_similarity(images, target, sizes)
        self.squares = self.squares + squares.to(self.squares.dtype).sum()
        self.similarity = self.similarity + similarity.to(self.similarity.dtype).sum()
        self.count = self.count + len(images)

    def compute(self) -> dict[str, Float[Tensor, ""]]:
        """Return ``mse``, ``psnr`` and ``ssim``."""
        mse = self.squares / self.count
        return {
            "mse": mse.float(),
            "psnr": (-10 * torch.log10(mse)).float(),
            "ssim": (self.similarity / self.count).float(),
        }
