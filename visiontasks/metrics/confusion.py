"""Segmentation scores from a confusion matrix."""

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
    """Compute segmentation scores from counts of pixels.

    Args:
        hits: Correctly predicted pixels of each class (true positives).
        actual: Pixels of each class.
        predicted: Pixels predicted as each class.
        right: Number of correct decisions.
        total: Number of all decisions.

    Returns:
        ``miou``: mean IoU over the classes; ``accuracy``: share of correct decisions; ``mean_accuracy``: mean recall
        over the classes; ``iou``: IoU of each class, ``hits / (actual + predicted - hits)``. The IoU of a class that
        does not occur is NaN and does not count for the mean; pixels predicted as this class count against their true
        classes.
    """
    occurs = actual > 0
    iou = (hits / (actual + predicted - hits)).masked_fill(~occurs, torch.nan)
    recall = (hits / actual).masked_fill(~occurs, torch.nan)
    return {"miou": iou.nanmean(), "accuracy": right / total, "mean_accuracy": recall.nanmean(), "iou": iou}


class ConfusionMatrix(Metric):
    """Mean IoU, IoU of each class, global and class-averaged accuracy, over all pixels of all images.

    These are the three measures of SegNet (Badrinarayanan et al. 2017, section 4.1). One confusion matrix is kept on
    the device, so that the scores are exact and the same for any number of processes; see :func:`segmentation_scores`
    for definitions.

    Args:
        num_classes: Number of values that a pixel can have.

    Example:
        >>> matrix = ConfusionMatrix(num_classes=3)
        >>> matrix.update(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 1, 0]]], dtype=torch.uint8))
        >>> scores = matrix.compute()
        >>> scores["miou"], scores["iou"]
        (tensor(0.5000), tensor([0.5000, 0.5000,    nan]))
    """

    full_state_update = False
    by_class = ("iou",)
    counts: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("counts", torch.zeros(num_classes, num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, labels: Integer[Tensor, "batch height width"], masks: UInt8[Tensor, "batch height width"]) -> None:
        """Count the pixels of a batch.

        Args:
            labels: Predicted class of each pixel, 0 to ``num_classes`` - 1.
            masks: True class; 255 is ignored.
        """
        # One row for each byte value: ignored pixels are counted in a row that is cut off, without an extra pass.
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
    """The scores of :class:`ConfusionMatrix` for pixels that may belong to any number of classes.

    Accuracy is the share of correct decisions, of which each pixel has one per class.

    Args:
        num_classes: Number of classes.
    """

    full_state_update = False
    by_class = ("iou",)
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
            masks: True decisions; 255 is ignored.
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
