"""Means of loss terms over an epoch."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric


class LossMean(Metric):
    """The mean of each named loss term over all images, exact on any number of processes.

    Sums and counts are accumulated rather than averages. A batch without images adds nothing.

    Example:
        >>> mean = LossMean()
        >>> mean.update({"loss": torch.tensor(1.0)}, 3)
        >>> mean.update({"loss": torch.tensor(5.0)}, 1)
        >>> mean.compute()["loss"].item()
        2.0
    """

    full_state_update = False
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, terms: Mapping[str, Float[Tensor, ""]], count: int) -> None:
        """Add the terms of one batch.

        Args:
            terms: Mean of each term over the images of the batch.
            count: Number of images in the batch.
        """
        for name, term in terms.items():
            state = f"sum_of_{name}"
            if name not in self.names:
                # MPS has no float64.
                dtype = torch.float32 if term.device.type == "mps" else torch.float64
                self.names.append(name)
                self.add_state(state, torch.zeros((), dtype=dtype, device=term.device), dist_reduce_fx="sum")
            if count:
                setattr(self, state, getattr(self, state) + term.detach() * count)
        self.count = self.count + count

    def compute(self) -> dict[str, Tensor]:
        """Return the mean of each term; NaN without images."""
        return {name: (getattr(self, f"sum_of_{name}") / self.count).float() for name in self.names}
