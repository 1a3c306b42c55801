"""How well pixels are classified, from one count of true and predicted classes."""

import torch
from jaxtyping import Float, Int64, Integer, UInt8
from torch import Tensor
from torchmetrics import Metric

from visiontasks.types import IGNORED


def segmentation_scores(
    hits: Int64[Tensor, " classes"],
    actual: Int64[Tensor, " classes"],
    predicted: Int64[Tensor, " classes"],
    right: Int64[Tensor, ""],
    total: Int64[Tensor, ""],
) -> dict[str, Float[Tensor, "..."]]:
    """Compute the scores of segmentation from counts of pixels.

    Args:
        hits: Pixels of each class that are predicted to be of it.
        actual: Pixels of each class.
        predicted: Pixels that are predicted to be of each class.
        right: Right decisions.
        total: All decisions.

    Returns:
        ``miou``: mean of the classes' ``iou``; ``accuracy``: share of right decisions; ``mean_accuracy``: mean over the
        classes of the share of their pixels that are found; ``iou``: of each class, ``hits / (actual + predicted -
        hits)``. A class that does not occur has the IoU NaN and does not count in a mean; pixels that are predicted to
        be of it count against the classes that they are of.
    """
    occurs = actual > 0
    iou = (hits / (actual + predicted - hits)).masked_fill(~occurs, torch.nan)
    recall = (hits / actual).masked_fill(~occurs, torch.nan)
    return {"miou": iou.nanmean(), "accuracy": right / total, "mean_accuracy": recall.nanmean(), "iou": iou}


class ConfusionMatrix(Metric):
    """Mean IoU, IoU of each class, global and class-average accuracy, over all pixels of all images.

    The three measures of SegNet (Badrinarayanan et al. 2017, section 4.1). One matrix of counts is kept on the device,
    so that the scores are exact and the same on any number of processes; see :func:`segmentation_scores` for
    definitions.

    Args:
        num_classes: Values that a pixel can have.

    Example:
        >>> matrix = ConfusionMatrix(num_classes=3)
        >>> matrix.update(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 1, 0]]], dtype=torch.uint8))
        >>> scores = matrix.compute()
        >>> scores["miou"], scores["iou"]
        (tensor(0.5000), tensor([0.5000, 0.5000,    nan]))
    """

    full_state_update = False
    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("counts", torch.zeros(num_classes, num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, labels: Integer[Tensor, "batch height width"], masks: UInt8[Tensor, "batch height width"]) -> None:
        """Count the pixels of a batch.

        Args:
            labels: Predicted class of each pixel, 0 to ``num_classes`` - 1.
            masks: True class; 255 is left out.
        """
        # One row for each value of a byte: what is to be ignored lands in a row that is cut off, and costs no pass.
        fits = (IGNORED + 1) * self.num_classes <= torch.iinfo(torch.int16).max
        kind = torch.int16 if fits else torch.int32
        places = torch.add(labels.to(kind), masks.to(kind), alpha=self.num_classes).flatten()
        counts = torch.bincount(places, minlength=(IGNORED + 1) * self.num_classes)
        self.counts += counts.view(IGNORED + 1, self.num_classes)[: self.num_classes]

    def compute(self) -> dict[str, Tensor]:
        """Compute the scores, see :func:`segmentation_scores`."""
        hits = self.counts.diagonal()
        return segmentation_scores(hits, self.counts.sum(1), self.counts.sum(0), hits.sum(), self.counts.sum())


class MultilabelConfusion(Metric):
    """The scores of :class:`ConfusionMatrix` where a pixel may belong to any number of classes.

    Accuracy is the share of right decisions: each pixel has one for each class.

    Args:
        num_classes: Classes.
    """

    full_state_update = False
    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("counts", torch.zeros(num_classes, 4, dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        labels: Integer[Tensor, "batch classes height width"],
        masks: UInt8[Tensor, "batch classes height width"],
    ) -> None:
        """Count the decisions of a batch.

        Args:
            labels: Predicted decisions, 0 or 1.
            masks: True ones; 255 is left out.
        """
        first = 4 * torch.arange(self.num_classes, device=masks.device)[:, None, None]
        places = torch.where(masks == IGNORED, 4 * self.num_classes, first + 2 * (masks == 1) + (labels == 1))
        counts = torch.bincount(places.flatten(), minlength=4 * self.num_classes + 1)
        self.counts += counts[:-1].view(-1, 4)

    def compute(self) -> dict[str, Tensor]:
        """Compute the scores, see :func:`segmentation_scores`."""
        right_no, wrong_yes, _, hits = self.counts.unbind(1)
        return segmentation_scores(
            hits, self.counts[:, 2:].sum(1), wrong_yes + hits, (right_no + hits).sum(), self.counts.sum()
        )
