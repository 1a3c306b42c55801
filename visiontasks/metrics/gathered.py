"""Outputs and targets of a whole split, for fitting temperatures and thresholds."""

from jaxtyping import Shaped
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class Gathered(Metric):
    """Stores the outputs and targets of all processes.

    Example:
        >>> import torch
        >>> gathered = Gathered()
        >>> gathered.update(torch.zeros(2, 3), torch.tensor([0, 1]))
        >>> gathered.update(torch.ones(1, 3), torch.tensor([2]))
        >>> outputs, targets = gathered.compute()
        >>> outputs.shape, targets
        (torch.Size([3, 3]), tensor([0, 1, 2]))
    """

    full_state_update = False
    outputs: list[Tensor]
    targets: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("outputs", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")

    def update(self, outputs: Shaped[Tensor, "batch *_"], targets: Shaped[Tensor, "batch *_"]) -> None:
        """Add the outputs and targets of one batch."""
        self.outputs.append(outputs)
        self.targets.append(targets)

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return all outputs and all targets."""
        return dim_zero_cat(self.outputs), dim_zero_cat(self.targets)
