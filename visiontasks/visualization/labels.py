"""Names of labels."""

from collections.abc import Sequence

from jaxtyping import Integer
from torch import Tensor


def label_names(labels: Integer[Tensor, ""] | Integer[Tensor, " classes"], class_names: Sequence[str]) -> str:
    """Name the class of an image, or all of its classes.

    Args:
        labels: The class, -1 if there is none; or, for each class, whether the image has it.
        class_names: Names of the classes in the order of the labels.

    Example:
        >>> import torch
        >>> label_names(torch.tensor(1), ["cat", "dog"]), label_names(torch.tensor([1, 1]), ["cat", "dog"])
        ('dog', 'cat, dog')
    """
    if not labels.ndim:
        return class_names[int(labels)] if labels >= 0 else "no object"
    return ", ".join(class_names[label] for label in labels.nonzero().flatten().tolist()) or "none"
