"""Sampling of the candidates that a loss is computed on."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from visiontasks.detection.matcher import NEGATIVE, POSITIVE


class Sample(NamedTuple):
    """The candidates that were sampled in each image.

    Attributes:
        indices: Their positions. Unused entries repeat others.
        valid: Whether an entry is used.
    """

    indices: Int64[Tensor, "batch sampled"]
    valid: Bool[Tensor, "batch sampled"]


def weights_of(valid: Bool[Tensor, "batch sampled"], *, per_image: bool) -> Float[Tensor, "batch sampled"]:
    """Compute the weight of each entry of a sample in the mean over the sample; 0 for unused entries.

    Args:
        valid: Whether an entry is used.
        per_image: Whether the mean is taken over each image and then over the images, so that the mean over a data set
            does not depend on how it is divided into batches; otherwise over the whole sample, as in torchvision.

    Example:
        >>> valid = torch.tensor([[True, True, True], [True, False, False]])
        >>> weights_of(valid, per_image=False)
        tensor([[0.2500, 0.2500, 0.2500],
                [0.2500, 0.0000, 0.0000]])
        >>> weights_of(valid, per_image=True)
        tensor([[0.1667, 0.1667, 0.1667],
                [0.5000, 0.0000, 0.0000]])
    """
    if per_image:
        return valid / (valid.sum(1, keepdim=True).clamp(min=1) * max(1, len(valid)))
    return valid / valid.sum().clamp(min=1)


class Sampler(NamedTuple):
    """Samples candidates at random, with an upper bound on the positives.

    Ren et al., Faster R-CNN (NeurIPS 2015), section 3.1.3. Like torchvision's ``BalancedPositiveNegativeSampler``, for
    all images at once and with a fixed number of entries.

    Attributes:
        batch_size_per_image: Number of candidates to sample per image, or all if there are fewer.
        positive_fraction: Maximum share of positives, 0 to 1.
    """

    batch_size_per_image: int
    positive_fraction: float

    @property
    def most_positives(self) -> int:
        """Maximum number of positives of an image."""
        return int(self.batch_size_per_image * self.positive_fraction)

    def __call__(self, states: Int64[Tensor, "batch candidates"], at_random: bool = True) -> Sample:
        """Sample candidates.

        Args:
            states: 1 for a candidate that is matched with an object, 0 for background, -1 for neither.
            at_random: Whether each call draws a new sample; otherwise an image always gets the same one, whatever the
                number of candidates that are padding after its own, so that results are reproducible.
        """
        count = states.shape[1]
        if at_random:
            order = torch.rand(states.shape, device=states.device)
        else:
            # MPS has no float64, in which no two keys are equal.
            dtype = torch.float32 if states.device.type == "mps" else torch.float64
            order = torch.rand(count, generator=torch.Generator().manual_seed(0), dtype=dtype)
            order = order.to(states.device, non_blocking=True).expand(states.shape)
        size = min(self.batch_size_per_image, count)
        most = min(self.most_positives, count)
        # The candidates with the highest keys are sampled: positives up to their limit have keys above 1, then
        # background.
        drawn, positives = torch.where(states == POSITIVE, order, -1.0).topk(most, 1)
        key = torch.where(states == NEGATIVE, order, -1.0)
        key = key.scatter(1, positives, torch.where(drawn >= 0, drawn + 1.0, key.gather(1, positives)))
        best, indices = key.topk(size, 1)
        valid = best >= 0
        places = torch.arange(size, device=states.device) % valid.sum(1, keepdim=True).clamp(min=1)
        return Sample(indices.gather(1, places), valid)
