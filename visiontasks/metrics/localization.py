"""Metrics for one class and one box per image, as defined by ImageNet's localization challenge.

Every metric takes class probabilities, a box of each class, and the true class and box. Images without an object (label
-1) are ignored. Sums and counts are kept, so that the values are the same for any number of processes; without any
object they are NaN.
"""

from abc import abstractmethod

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchmetrics import Metric

from visiontasks.errors import ArgumentError
from visiontasks.losses.box import paired_iou


class LocalizationMetric(Metric):
    """The mean of a per-image value over all images with an object; a subclass implements :meth:`values`."""

    full_state_update = False
    total: Tensor
    images: Tensor

    def __init__(self) -> None:
        super().__init__()
        # MPS has no float64; the counts that most metrics sum up are exact in either.
        dtype = torch.float32 if torch.backends.mps.is_available() else torch.float64
        self.add_state("total", torch.zeros((), dtype=dtype), dist_reduce_fx="sum")
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")

    @abstractmethod
    def values(
        self,
        probabilities: Float[Tensor, "batch classes"],
        class_boxes: Float[Tensor, "batch classes 4"],
        labels: Int64[Tensor, " batch"],
        boxes: Float[Tensor, "batch 4"],
    ) -> Tensor:
        """Compute the value of each image, [B]; images without an object are left out afterwards."""

    def update(
        self,
        probabilities: Float[Tensor, "batch classes"],
        class_boxes: Float[Tensor, "batch classes 4"],
        labels: Int64[Tensor, " batch"],
        boxes: Float[Tensor, "batch 4"],
    ) -> None:
        """Add a batch.

        Args:
            probabilities: Score of each class.
            class_boxes: Box of each class, xyxy.
            labels: True class; -1 for an image without an object.
            boxes: True box, xyxy.
        """
        has_object = labels >= 0
        values = self.values(probabilities, class_boxes, labels, boxes).to(self.total.dtype)
        self.total = self.total + torch.where(has_object, values, 0).sum()
        self.images = self.images + has_object.sum()

    def compute(self) -> Tensor:
        """Return the mean over all images that have an object."""
        return (self.total / self.images).float()


class LocalizationError(LocalizationMetric):
    """Share of images for which none of the top classes is correct with a box of sufficient overlap.

    The localization error of ImageNet (Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV
    2015, section 4.2), for one object per image; in ImageNet a prediction may match any object of its class.

    Args:
        top_k: Number of predicted classes, each with its box: 1 or 5 in ImageNet; at most the number of classes.
        threshold: Minimum intersection over union of a correct box.

    Raises:
        ArgumentError: If an argument is out of range.

    Example:
        >>> error = LocalizationError()
        >>> boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0]]).expand(2, 4)
        >>> error.update(torch.eye(2), boxes[:, None].expand(2, 2, 4), torch.tensor([0, 0]), boxes)
        >>> error.compute()
        tensor(0.5000)
    """

    higher_is_better = False

    def __init__(self, top_k: int = 1, threshold: float = 0.5) -> None:
        super().__init__()
        _check(top_k=top_k, threshold=threshold)
        self.top_k = top_k
        self.threshold = threshold

    def values(self, probabilities: Tensor, class_boxes: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
        """Return for each image whether it is wrong."""
        # Only the box of the true class can be correct.
        near = paired_iou(_of_class(class_boxes, labels), boxes) >= self.threshold
        return ~(near & _is_guessed(probabilities, labels, self.top_k))


class ObjectAccuracy(LocalizationMetric):
    """Share of images whose class is among the most probable ones, regardless of the box.

    Args:
        top_k: Number of most probable classes to consider.

    Raises:
        ArgumentError: If it is less than 1.
    """

    higher_is_better = True

    def __init__(self, top_k: int = 1) -> None:
        super().__init__()
        _check(top_k=top_k)
        self.top_k = top_k

    def values(self, probabilities: Tensor, class_boxes: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
        """Return for each image whether the class is correct."""
        return _is_guessed(probabilities, labels, self.top_k)


class BoxIoU(LocalizationMetric):
    """Mean IoU of the box of the most probable class with the true box, whether or not the class is correct.

    Example:
        >>> iou = BoxIoU()
        >>> half, whole = torch.tensor([[0.0, 0, 4, 2]]), torch.tensor([[0.0, 0, 4, 4]])
        >>> iou.update(torch.ones(1, 1), half[None], torch.tensor([0]), whole)
        >>> iou.compute()
        tensor(0.5000)
    """

    higher_is_better = True

    def values(self, probabilities: Tensor, class_boxes: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
        """Compute the IoU of each image."""
        return paired_iou(_of_class(class_boxes, probabilities.argmax(1)), boxes)


class BoxAccuracy(BoxIoU):
    """Share of images whose box reaches an IoU threshold, whether or not the class is correct.

    Args:
        threshold: Minimum intersection over union.

    Raises:
        ArgumentError: If it is out of range.
    """

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        _check(threshold=threshold)
        self.threshold = threshold

    def values(self, probabilities: Tensor, class_boxes: Tensor, labels: Tensor, boxes: Tensor) -> Tensor:
        """Return for each image whether the IoU reaches the threshold."""
        return super().values(probabilities, class_boxes, labels, boxes) >= self.threshold


def localization_metrics(num_classes: int) -> dict[str, Metric]:
    """Create the metrics of a localization, by the names under which they are logged.

    Args:
        num_classes: Number of classes; with more than five, top-5 metrics are included.
    """
    metrics: dict[str, Metric] = {
        "localization_error": LocalizationError(),
        "accuracy": ObjectAccuracy(),
        "mean_iou": BoxIoU(),
        "iou_50": BoxAccuracy(0.5),
        "iou_75": BoxAccuracy(0.75),
    }
    if num_classes > 5:
        metrics |= {"localization_error_top5": LocalizationError(5), "accuracy_top5": ObjectAccuracy(5)}
    return metrics


def _is_guessed(probabilities: Tensor, labels: Tensor, top_k: int) -> Tensor:
    guesses = probabilities.topk(min(top_k, probabilities.shape[1]), dim=1).indices
    return (guesses == labels[:, None]).any(1)


def _of_class(class_boxes: Tensor, labels: Tensor) -> Tensor:
    """Select the box of the given class in each image; an arbitrary one for images without an object."""
    return class_boxes.gather(1, labels.clamp(min=0)[:, None, None].expand(-1, 1, 4))[:, 0]


def _check(top_k: int = 1, threshold: float = 0.0) -> None:
    if top_k < 1 or not 0 <= threshold <= 1:
        message = f"top_k is {top_k} and threshold {threshold}; expected at least 1 guess, and an overlap of 0 to 1."
        raise ArgumentError(message)
