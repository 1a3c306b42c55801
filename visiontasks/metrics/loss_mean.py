"""Means of loss terms over an epoch."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Integer
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
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, terms: Mapping[str, Float[Tensor, ""]], count: int | Integer[Tensor, ""]) -> None:
        """Add the terms of one batch.

        Args:
            terms: Mean of each term over the images of the batch.
            count: Number of images in the batch; as a tensor where it is only known on the device.
        """
        for name, term in terms.items():
            state = f"{_SUM}{name}"
            if state not in self._defaults:
                # MPS has no float64.
                dtype = torch.float32 if term.device.type == "mps" else torch.float64
                self.add_state(state, torch.zeros((), dtype=dtype, device=term.device), dist_reduce_fx="sum")
            if isinstance(count, Tensor) or count:
                setattr(self, state, getattr(self, state) + term.detach() * count)
        self.count = self.count + count

    def compute(self) -> dict[str, Tensor]:
        """Return the mean of each term; NaN without images."""
        sums = {name: getattr(self, name) for name in self._defaults if name.startswith(_SUM)}
        return {name.removeprefix(_SUM): (total / self.count).float() for name, total in sums.items()}


_SUM = "sum_of_"
