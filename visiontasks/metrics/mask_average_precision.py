"""COCO's metrics of the masks of a detector."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from visiontasks.types import InstancePredictions


class MaskAveragePrecision(Metric):
    """COCO's metrics of masks.

    Args:
        num_classes: Number of classes.
    """

    full_state_update = False

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def update(self, predictions: InstancePredictions, batch: Any) -> None:  # noqa: ANN401 (a batch with the fields)
        """Add the masks of a batch."""

    def compute(self) -> dict[str, Tensor]:
        """Return the metrics by name."""
        return {"mask_map": torch.tensor(torch.nan, device=self.device)}
