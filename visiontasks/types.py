"""Batches, predictions and what else travels between data and tasks.

Legend of the shapes in annotations: ``batch`` images in a batch, ``channels`` of an image or a feature map, ``height``
and ``width`` in pixels, ``classes`` without background, ``objects`` of the image of a batch that has most.

A *sample* is the same tuple without the batch axis, and :func:`~visiontasks.data.collate.collate` makes a batch of
samples, which keeps their type: a NamedTuple of your own with more fields needs nothing else. Boxes are x1, y1, x2, y2
in pixels of the batch's images; ``sizes`` and ``scale`` are height first, as the shapes of images are.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor

Images = UInt8[Tensor, "batch channels height width"] | Float[Tensor, "batch channels height width"]
"""Pixels: uint8 in 0 to 255, or floating point in 0 to 1."""

IGNORED = 255
"""The class of pixels that neither loss nor metric counts."""


class ClassificationBatch(NamedTuple):
    """Images with one class each, or with any number of classes (multilabel).

    Attributes:
        images: Pixels, uint8 in 0 to 255 or float in 0 to 1.
        labels: Class of each image, 0 to ``num_classes`` - 1; multilabel: 1 for each class in the image, else 0. Of
            images that were mixed, the share of each class.
        ids: Position of each image in its data set; messages name images by it.
    """

    images: Images
    labels: Int64[Tensor, " batch"] | UInt8[Tensor, "batch classes"] | Float[Tensor, "batch classes"]
    ids: Int64[Tensor, " batch"]


class LocalizationBatch(NamedTuple):
    """Images with the class and the box of one object each.

    Attributes:
        images: Pixels, uint8 in 0 to 255 or float in 0 to 1.
        labels: Class of the object; -1 for an image without one.
        boxes: Its box; zeros for an image without one.
        sizes: Height and width of each image inside the padding.
        scale: Original height and width over those in the batch: what a box is multiplied by to return.
        ids: Position of each image in its data set.
    """

    images: Images
    labels: Int64[Tensor, " batch"]
    boxes: Float32[Tensor, "batch 4"]
    sizes: Int64[Tensor, "batch 2"]
    scale: Float32[Tensor, "batch 2"]
    ids: Int64[Tensor, " batch"]


class DetectionBatch(NamedTuple):
    """Images with any number of objects.

    Attributes:
        images: Pixels, uint8 in 0 to 255 or float in 0 to 1, padded with 0 to the right and below.
        boxes: Box of each object; zeros where an image has fewer objects than another.
        labels: Class of each object; -1 is padding.
        ignore: Whether an object is ignored in matching and evaluation: a crowd of COCO, a difficult one of VOC.
        sizes: Height and width of each image inside the padding.
        scale: Original height and width over those in the batch: what a box is multiplied by to return.
        ids: Position of each image in its data set.
        areas: Area of each object in square pixels of the original image, by which COCO calls it small or large: that
            of its outline where the data set states it, else that of its box.
    """

    images: Images
    boxes: Float32[Tensor, "batch objects 4"]
    labels: Int64[Tensor, "batch objects"]
    ignore: Bool[Tensor, "batch objects"]
    sizes: Int64[Tensor, "batch 2"]
    scale: Float32[Tensor, "batch 2"]
    ids: Int64[Tensor, " batch"]
    areas: Float32[Tensor, "batch objects"]


class ProposalBatch(NamedTuple):
    """Images with any number of objects, and boxes in which there may be some.

    Attributes:
        images: As in :class:`DetectionBatch`, and so on.
        proposals: Boxes in pixels of the batch's images; zeros where an image has fewer than another.
    """

    images: Images
    boxes: Float32[Tensor, "batch objects 4"]
    labels: Int64[Tensor, "batch objects"]
    ignore: Bool[Tensor, "batch objects"]
    sizes: Int64[Tensor, "batch 2"]
    scale: Float32[Tensor, "batch 2"]
    ids: Int64[Tensor, " batch"]
    areas: Float32[Tensor, "batch objects"]
    proposals: Float32[Tensor, "batch proposals 4"]


class SegmentationBatch(NamedTuple):
    """Images with the class of each pixel.

    Attributes:
        images: Pixels, uint8 in 0 to 255 or float in 0 to 1, padded with 0 to the right and below.
        masks: Class of each pixel, 0 to ``num_classes`` - 1; 255 is to be ignored, padding as well. Multilabel: for
            each class whether the pixel belongs to it, 1 or 0.
        sizes: Height and width of each image inside the padding.
        scale: Original height and width over those in the batch.
        ids: Position of each image in its data set.
    """

    images: Images
    masks: UInt8[Tensor, "batch height width"] | UInt8[Tensor, "batch classes height width"]
    sizes: Int64[Tensor, "batch 2"]
    scale: Float32[Tensor, "batch 2"]
    ids: Int64[Tensor, " batch"]


class AutoencodingBatch(NamedTuple):
    """Images to be reconstructed.

    Attributes:
        images: Pixels, uint8 in 0 to 255 or float in 0 to 1.
        labels: Class of each image, by which codes are judged; -1 when it is not known.
        ids: Position of each image in its data set.
    """

    images: Images
    labels: Int64[Tensor, " batch"]
    ids: Int64[Tensor, " batch"]


class ClassificationPredictions(NamedTuple):
    """What a classifier says of each image.

    Attributes:
        probabilities: Probability of each class; rows sum to 1, save multilabel.
        labels: The most probable class; multilabel: 1 for each class that reaches its threshold, else 0.
        scores: Probability of the label; multilabel: of each class.
    """

    probabilities: Float[Tensor, "batch classes"]
    labels: Int64[Tensor, " batch"] | UInt8[Tensor, "batch classes"]
    scores: Float[Tensor, " batch"] | Float[Tensor, "batch classes"]


class LocalizationPredictions(NamedTuple):
    """What a localization says of each image: one class and one box.

    Attributes:
        probabilities: Probability of each class; rows sum to 1.
        labels: The most probable class.
        scores: Its probability.
        boxes: Its box, inside the image. Multiplied by the batch's ``scale`` (x by its second column, y by its first),
            it is in pixels of the original image.
        class_boxes: Box of each class; the same for all where boxes are class-agnostic.
    """

    probabilities: Float[Tensor, "batch classes"]
    labels: Int64[Tensor, " batch"]
    scores: Float[Tensor, " batch"]
    boxes: Float32[Tensor, "batch 4"]
    class_boxes: Float32[Tensor, "batch classes 4"]


class SegmentationPredictions(NamedTuple):
    """What a segmentation says of each pixel.

    Attributes:
        labels: The most probable class; multilabel: for each class whether the pixel belongs to it, 1 or 0.
        scores: Probability of the most probable class; multilabel: of each class.
    """

    labels: UInt8[Tensor, "batch height width"] | UInt8[Tensor, "batch classes height width"]
    scores: Float[Tensor, "batch height width"] | Float[Tensor, "batch classes height width"]


class AutoencodingPredictions(NamedTuple):
    """What an autoencoder makes of each image.

    Attributes:
        images: The image as it comes out of its code, pixels in 0 to 1.
        codes: What was kept of it: a vector, or a map at the stride of the backbone.
    """

    images: Float32[Tensor, "batch channels height width"]
    codes: Float32[Tensor, "batch code"] | Float32[Tensor, "batch code rows columns"]


class DetectionPredictions(NamedTuple):
    """What a detector finds in each image, in descending order of score, then padding.

    Attributes:
        boxes: Boxes, inside the images. Multiplied by the batch's ``scale`` (x by its second column, y by its first),
            they are in pixels of the original image. Padding is zeros.
        scores: Probability of the class of each; 0 for padding.
        labels: Its class; -1 is padding.
    """

    boxes: Float32[Tensor, "batch detections 4"]
    scores: Float32[Tensor, "batch detections"]
    labels: Int64[Tensor, "batch detections"]


class Statistics(NamedTuple):
    """Pixel statistics of a training split, pixels in 0 to 1.

    Attributes:
        mean: Mean of each channel.
        std: Standard deviation of each channel.
        mean_image: Mean of each pixel; None when the images differ in size.
    """

    mean: Float[Tensor, " channels"]
    std: Float[Tensor, " channels"]
    mean_image: Float[Tensor, "channels height width"] | None


class ClassCounts(NamedTuple):
    """How often each class occurs in a training split.

    Attributes:
        images: Images of the split.
        with_class: Images that have each class.
    """

    images: int
    with_class: Int64[Tensor, " classes"]


@runtime_checkable
class DataDescription(Protocol):
    """What a task wants to know of a data module; :class:`~visiontasks.data.base.VisionDataModule` offers it.

    Attributes:
        num_classes: Classes, background not counted.
        class_names: Their names, in the order of the labels.
        in_channels: Channels of the images.
        image_size: Height and width in pixels that batches have; None when it varies.
    """

    @property
    def num_classes(self) -> int: ...  # noqa: D102 (see the class)
    @property
    def class_names(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def in_channels(self) -> int: ...  # noqa: D102
    @property
    def image_size(self) -> tuple[int, int] | None: ...  # noqa: D102

    def statistics(self) -> Statistics:
        """Measure the pixel statistics of the training split."""
        ...


@runtime_checkable
class OffersTrainingImages(Protocol):
    """A data module that shows its training images plainly; :class:`~visiontasks.data.base.VisionDataModule` does."""

    def bank_dataloader(self, count: int | None = None) -> Iterable[NamedTuple]:
        """Load training images, not augmented and each once; ``count`` of them, evenly spread, or all."""
        ...


@runtime_checkable
class CountsClasses(Protocol):
    """A data module that counts its classes; :class:`~visiontasks.data.base.VisionDataModule` does."""

    def class_counts(self) -> ClassCounts:
        """Count the images of the training split with each class."""
        ...


def ids_of(batch: Any) -> Int64[Tensor, " batch"]:  # noqa: ANN401 (of any task)
    """Find the position of each image in its data set; in the batch where a tuple of one's own does not say it."""
    ids = getattr(batch, "ids", None)
    return ids if isinstance(ids, Tensor) else torch.arange(len(batch.images), device=batch.images.device)


def labels_of(batch: Any) -> Int64[Tensor, " batch"]:  # noqa: ANN401 (of any task)
    """Find the class of each image; -1 where a batch does not say one."""
    labels = getattr(batch, "labels", None)
    if isinstance(labels, Tensor) and labels.ndim == 1 and not labels.is_floating_point():
        return labels
    return torch.full((len(batch.images),), -1, device=batch.images.device)
