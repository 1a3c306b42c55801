"""How the predictions of one kind of task are shown and written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Row = dict[str, str | int | float]
"""Named values of the predictions of one image."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What shows and writes the predictions of one kind of task; a task of your own sets it as ``Task.kind``.

    Batches and predictions are NamedTuples of tensors whose first axis is that of the images, on the CPU; *of one
    image* means that this axis has length 1. Class names are in the order of the labels. For a function that is left
    out, that of this library for such predictions is used, if there is one; otherwise nothing is shown, except that a
    caption is made of the row.

    Attributes:
        batch: NamedTuple with the fields of a batch that the functions read.
        predictions: NamedTuple of the predictions.
        draw: From a batch, its predictions and the class names, a picture: uint8 RGB, shape [3, H, W]. The truth of
            files that are predicted is unknown: NaN in fields of your own.
        wandb: From the batch and the predictions of one image and the class names, the arguments of ``wandb.Image``
            besides the image: ``caption``, ``boxes``, ``masks``. Without it, Weights & Biases gets the picture.
        caption: From the batch and the predictions of one image and the class names, one line of text.
        quality: From a batch and its predictions, on any device, the name of a measure and its value for each image,
            shape [batch]: higher is better, NaN is undefined. It orders the best and the worst images.
        row: From the predictions of one image and the class names, named values, for tables and for the files of
            ``visiontasks predict``.
    """

    batch: type | None = None
    predictions: type | None = None
    draw: Callable[[Any, Any, Sequence[str]], Tensor] | None = None
    wandb: Callable[[Any, Any, Sequence[str]], dict[str, Any]] | None = None
    caption: Callable[[Any, Any, Sequence[str]], str] | None = None
    quality: Callable[[Any, Any], tuple[str, Tensor]] | None = None
    row: Callable[[Any, Sequence[str]], Row] | None = None
