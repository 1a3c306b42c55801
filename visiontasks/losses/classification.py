"""The loss of a classifier, whatever its mode, and weights of classes from their counts."""

from typing import Literal, get_args

from jaxtyping import Float, Integer
from torch import Tensor

from visiontasks.errors import ArgumentError, check_choice
from visiontasks.losses.focal import binary_focal_loss, focal_loss
from visiontasks.types import ClassCounts

Mode = Literal["multiclass", "multilabel", "binary"]
"""One of several classes by softmax, any number of classes by a sigmoid each, or one of two classes by one sigmoid; of
an image or of each pixel."""

Labels = Integer[Tensor, " batch"] | Integer[Tensor, "batch classes"] | Float[Tensor, "batch classes"]
"""Class of each image; multilabel: whether it has each class; mixed images: the share of each class."""


def check_mode(mode: str, num_classes: int) -> None:
    """Check that a mode exists and fits the number of classes.

    Raises:
        ArgumentError: If it does not.
    """
    check_choice("mode", mode, get_args(Mode))
    if num_classes < 1 or (mode == "binary" and num_classes != 2):
        expected = "2, the second of which is the positive one" if mode == "binary" else "at least 1"
        message = f"num_classes is {num_classes}; expected {expected}."
        raise ArgumentError(message)


def classification_loss(
    logits: Float[Tensor, "batch outputs"],
    labels: Labels,
    mode: Mode = "multiclass",
    class_weights: Float[Tensor, " classes"] | None = None,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
) -> Float[Tensor, ""]:
    """Compute the mean cross-entropy or focal loss of a batch.

    Args:
        logits: A logit for each class; binary: one, of the second class.
        labels: The labels, shares of classes where images are mixed.
        mode: Multiclass: cross-entropy of the softmax, the mean over images. Multilabel: binary cross-entropy of a
            sigmoid for each class, the mean over images and classes. Binary: that of the second class.
        class_weights: Weight of each class; multilabel: weight of the images that have it against those that have not.
            Weighted terms are averaged, not divided by the sum of their weights as torch does for classes, so that the
            mean over batches is the loss of the whole.
        label_smoothing: Share of the target that is spread over all classes, or over yes and no; 0 to 1.
        focal_gamma: Of the focal loss, see :func:`~visiontasks.losses.focal.focal_loss`; 0 for cross-entropy.

    Example:
        >>> import torch
        >>> logits = torch.zeros(2, 4)
        >>> classification_loss(logits, torch.tensor([0, 3])).item()  # log(4)
        1.386...
        >>> present = torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0]], dtype=torch.uint8)
        >>> classification_loss(logits, present, "multilabel").item()  # log(2)
        0.693...
    """
    if mode == "multiclass":
        return focal_loss(logits, labels, focal_gamma, class_weights, label_smoothing).mean()
    weights: tuple[float | Tensor, float | Tensor] = (1.0, 1.0)
    if class_weights is not None:
        weights = (1.0, class_weights) if mode == "multilabel" else (class_weights[0], class_weights[1])
    if mode == "binary":
        labels = labels[:, None] if labels.ndim == 1 else labels[:, 1:]
    return binary_focal_loss(logits, labels, focal_gamma, weights, label_smoothing).mean()


def balanced_weights(counts: ClassCounts, mode: Mode = "multiclass") -> Float[Tensor, " classes"]:
    """Weigh classes so that rare ones count for as much as frequent ones in the loss.

    Multiclass and binary: ``images / (classes * count)``, as scikit-learn has it.
    Multilabel: images without the class over images with it, torch's ``pos_weight``. What no image has, or every
    image, is counted as if one image had it, or had it not.

    Args:
        counts: How many images there are, and how many with each class.
        mode: Of the loss.

    Example:
        >>> import torch
        >>> counts = ClassCounts(images=10, with_class=torch.tensor([8, 2]))
        >>> balanced_weights(counts)
        tensor([0.6250, 2.5000])
        >>> balanced_weights(counts, "multilabel")
        tensor([0.2500, 4.0000])
    """
    images, with_class = counts.images, counts.with_class.double()
    if mode == "multilabel":
        return ((images - with_class).clamp(min=1) / with_class.clamp(min=1)).float()
    return (images / (len(with_class) * with_class.clamp(min=1))).float()
