"""The prediction of an image, in the same form for every task."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from visiontasks.detection.mask_pasting import Pasted
from visiontasks.errors import ArgumentError

Box = tuple[float, float, float, float]
RunLengths = dict[str, Any]
"""A mask in COCO's form: ``size``, height and width, and the compressed ``counts`` as text."""


class Prediction(NamedTuple):
    """Prediction of an image, in pixels of the image as displayed.

    Attributes:
        name: The file, or the position of an array among those that were given.
        size: Height and width of the image; None when it could not be read.
        labels: Classification: the most probable class alone, or all that reach their threshold (multilabel), most
            probable first. Localization and detection: the class of each box, most probable first. Segmentation: the
            classes that occur.
        class_names: Their names.
        scores: Their probabilities, 0 to 1. Segmentation: the share of the pixels that belong to each.
        boxes: xyxy, one for each label; None for a task without boxes.
        instances: Instances: the mask of each label, as COCO's run lengths; :meth:`instance` decodes one.
        mask: Segmentation: class of each pixel; multilabel: for each class whether a pixel belongs to it, 1 or 0.
        code: Autoencoding: the code; for a spatial code, the mean over its positions.
        reconstruction: Autoencoding: the output of the decoder, at the input size of the network.
        values: A task of your own: what its ``Kind.row`` returns.
        image: The pixels that were read, if requested.
        picture: Draws the image as the network sees it with the prediction, if the task brings its own drawing.
        error: Why the image could not be read; None when it could.
    """

    name: Path | int
    size: tuple[int, int] | None = None
    labels: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    boxes: tuple[Box, ...] | None = None
    instances: tuple[RunLengths, ...] | None = None
    mask: UInt8[Tensor, "height width"] | UInt8[Tensor, "classes height width"] | None = None
    code: tuple[float, ...] | None = None
    reconstruction: UInt8[Tensor, "channels rows columns"] | None = None
    values: dict[str, str | int | float] | None = None
    image: UInt8[Tensor, "channels height width"] | None = None
    picture: Callable[[], Tensor] | None = None
    error: str | None = None

    def at_least(self, score: float) -> "Prediction":
        """Keep only labels with at least a given score."""
        kept = [index for index, one in enumerate(self.scores) if one >= score]
        return self._replace(
            labels=tuple(self.labels[index] for index in kept),
            class_names=tuple(self.class_names[index] for index in kept),
            scores=tuple(self.scores[index] for index in kept),
            boxes=None if self.boxes is None else tuple(self.boxes[index] for index in kept),
            instances=None if self.instances is None else tuple(self.instances[index] for index in kept),
        )

    def instance(self, index: int) -> Pasted:
        """Return the window of the mask of a label, xyxy, and the zeros and ones in it.

        Raises:
            ArgumentError: If the prediction has no instances.
        """
        if self.instances is None:
            message = f"the prediction of {str(self.name)!r} has no instances; those of InstanceSegmentationTask have."
            raise ArgumentError(message)
        return decoded_window(self.instances[index])

    def layer(self, label: int) -> UInt8[Tensor, "height width"]:
        """Return the binary mask of a class of a segmentation.

        Raises:
            ArgumentError: If the prediction has no mask.
        """
        if self.mask is None:
            message = f"the prediction of {str(self.name)!r} has no mask; those of SegmentationTask have."
            raise ArgumentError(message)
        return self.mask[label] if self.mask.ndim == 3 else (self.mask == label).byte()

    def as_dict(self) -> dict[str, Any]:
        """Convert the prediction to plain values, as in a line of JSON.

        Returns:
            ``file``, and ``error`` or ``height``, ``width`` and one of: ``classes`` (label, class, score; of a
            segmentation label, class, share, and ``mask``: COCO's run lengths), ``objects`` (with ``box``, xyxy, and of
            instances ``mask``), ``code`` (a list of numbers), and ``values`` (of a task of your own).

        Example:
            >>> Prediction(Path("a.jpg"), (20, 30), (1,), ("cat",), (0.75,)).as_dict()["classes"]
            [{'label': 1, 'class': 'cat', 'score': 0.75}]
        """
        name = self.name if isinstance(self.name, int) else str(self.name)
        if self.size is None:
            return {"file": name, "error": self.error}
        about = {"file": name, "height": self.size[0], "width": self.size[1]}
        if self.values is not None:
            return about | {"values": self.values}
        if self.code is not None:
            return about | {"code": list(self.code)}
        entries: list[dict[str, Any]] = [
            {"label": label, "class": class_name, "score": round(score, 6)}
            for label, class_name, score in zip(self.labels, self.class_names, self.scores, strict=True)
        ]
        for index, entry in enumerate(entries):
            if self.boxes is not None:
                entry["box"] = [round(value, 3) for value in self.boxes[index]]
            if self.mask is not None:
                entry["share"] = entry.pop("score")
                entry["mask"] = run_lengths(self.layer(entry["label"]))
            if self.instances is not None:
                entry["mask"] = self.instances[index]
        return about | {"classes" if self.boxes is None else "objects": entries}


def run_lengths(mask: UInt8[Tensor, "height width"]) -> RunLengths:
    """Encode a mask of zeros and ones as COCO does: ``size`` and the compressed ``counts``."""
    from pycocotools.mask import encode

    encoded = encode(np.asfortranarray(mask.numpy()))
    return {"size": list(encoded["size"]), "counts": encoded["counts"].decode("ascii")}


def pasted_run_lengths(pasted: Pasted, size: tuple[int, int]) -> RunLengths:
    """Encode a mask in a window of an image as :func:`run_lengths` does the whole one.

    Args:
        pasted: The window, and the zeros and ones in it.
        size: Height and width of the image.
    """
    from pycocotools.mask import frPyObjects

    (left, top, right, bottom), mask = pasted
    # Column by column, with a zero below each, where every run ends that began in it.
    pixels = np.zeros((right - left, bottom - top + 1), np.uint8)
    pixels[:, :-1] = mask.T
    (changes,) = np.nonzero(np.diff(pixels.ravel(), prepend=0))
    columns, rows = np.divmod(changes, bottom - top + 1)
    places, times = np.unique((left + columns) * size[0] + top + rows, return_counts=True)
    # A run that ends below the image goes on at the top of the next column.
    pixels_in_all = size[0] * size[1]
    places = places[(times == 1) & (places < pixels_in_all)]
    counts = np.diff(places, prepend=0, append=pixels_in_all).tolist()
    encoded = frPyObjects({"size": list(size), "counts": counts}, *size)
    return {"size": list(size), "counts": encoded["counts"].decode("ascii")}


def decoded_window(mask: RunLengths) -> Pasted:
    """Decode a mask to the window around it, xyxy, and the zeros and ones in it; zeros if it is empty."""
    from pycocotools.mask import decode, toBbox

    left, top, width, height = (int(value) for value in toBbox(mask))
    return (left, top, left + width, top + height), decode(mask)[top : top + height, left : left + width]
