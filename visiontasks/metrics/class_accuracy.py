"""Accuracy of each class."""

from torch import Tensor
from torchmetrics.classification import MulticlassStatScores


class ClassAccuracy(MulticlassStatScores):
    """Share of the images of each class that are classified correctly; NaN for a class without images.

    torchmetrics' ``MulticlassAccuracy(average=None)`` gives 0 for a class without images, as if all were wrong. The
    arguments are those of :class:`torchmetrics.classification.MulticlassStatScores`.

    Example:
        >>> import torch
        >>> accuracy = ClassAccuracy(num_classes=3, average=None)
        >>> accuracy.update(torch.tensor([0, 1, 0]), torch.tensor([0, 1, 1]))
        >>> accuracy.compute()
        tensor([1.0000, 0.5000,    nan])
    """

    def compute(self) -> Tensor:
        """Return the accuracy of each class, shape [num_classes]."""
        right, _, _, missed = self._final_state()
        return right / (right + missed)
