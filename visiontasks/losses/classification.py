"""The loss of a classifier in each mode, and class weights from class counts."""

from typing import Literal, get_args

from jaxtyping import Float, Integer
from torch import Tensor

from visiontasks.description import ClassCounts
from visiontasks.errors import ArgumentError, check_choice
from visiontasks.losses.focal import binary_focal_loss, focal_loss

Mode = Literal["multiclass", "multilabel", "binary"]
"""One of several classes by softmax, any number of classes by a sigmoid each, or one of two classes by one sigmoid; of
an image or of each pixel."""

Labels = Integer[Tensor, " batch"] | Integer[Tensor, "batch classes"] | Float[Tensor, "batch classes"]
"""Class of each image; multilabel: whether it has each class; mixed images: the share of each class."""


def check_mode(mode: str, num_classes: int) -> None:
    """Check that a mode is known and fits the number of classes.

    Raises:
        ArgumentError: If it is not.
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
        labels: The labels; shares of classes if images are mixed.
        mode: Multiclass: cross-entropy of the softmax, averaged over images. Multilabel: binary cross-entropy of a
            sigmoid for each class, averaged over images and classes. Binary: binary cross-entropy of the second class.
        class_weights: Weight of each class; multilabel: weight of the images with the class relative to those without.
            Weighted terms are averaged, not divided by the sum of their weights as in torch, so that the mean over
            batches is the loss of the whole split.
        label_smoothing: Share of the target that is spread over all classes, or over the two outcomes of each; 0 to 1.
        focal_gamma: Gamma of the focal loss, see :func:`~visiontasks.losses.focal.focal_loss`; 0 for cross-entropy.

    Raises:
        ArgumentError: If the labels are whole numbers for each class, and the mode is multiclass.

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
        if labels.ndim == 2 and not labels.is_floating_point():
            message = (
                f"The labels of a batch have the shape {list(labels.shape)}, a row for each image, and mode is "
                "'multiclass'; expected the number of each image's class. If an image may have several classes, use "
                "mode='multilabel', else labels.argmax(1)."
            )
            raise ArgumentError(message)
        return focal_loss(logits, labels, focal_gamma, class_weights, label_smoothing).mean()
    weights: tuple[float | Tensor, float | Tensor] = (1.0, 1.0)
    if class_weights is not None:
        weights = (1.0, class_weights) if mode == "multilabel" else (class_weights[0], class_weights[1])
    if mode == "binary":
        labels = labels[:, None] if labels.ndim == 1 else labels[:, 1:]
    return binary_focal_loss(logits, labels, focal_gamma, weights, label_smoothing).mean()


def balanced_weights(counts: ClassCounts, mode: Mode = "multiclass") -> Float[Tensor, " classes"]:
    """Compute class weights for which rare classes count as much as frequent ones in the loss.

    Multiclass and binary: ``images / (classes * count)``, as in scikit-learn. Multilabel: the number of images without
    the class over that of images with it, torch's ``pos_weight``. A count of 0 is replaced by 1.

    Args:
        counts: The number of images, and the number of images with each class.
        mode: Mode of the loss.

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
