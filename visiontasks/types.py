"""Batches and predictions, which are passed between data modules and tasks.

Axes in the shape annotations: ``batch`` images, ``channels`` of an image or a feature map, ``height`` and ``width`` in
pixels, ``classes`` without background, ``objects`` of the image with the most objects in the batch.

A *sample* is the same tuple without the batch axis. :func:`~visiontasks.data.loading.collate.collate` turns samples
into a batch of the same type, so a NamedTuple of your own with more fields needs nothing else. Boxes are
x1, y1, x2, y2 in pixels of the batch's images; ``sizes`` and ``scale`` are (height, width), like image shapes.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor

Images = UInt8[Tensor, "batch channels height width"] | Float[Tensor, "batch channels height width"]
"""Pixels: uint8 in 0 to 255, or floating-point in 0 to 1."""

IGNORED = 255
"""Class of the pixels that losses and metrics ignore."""


class ClassificationBatch(NamedTuple):
    """Images with one class each, or with any number of classes (multilabel).

    Attributes:
        images: Pixels, uint8 in 0 to 255 or float in 0 to 1.
        labels: Class of each image, 0 to ``num_classes`` - 1; multilabel: 1 for each class in the image, else 0; mixed
            images: the share of each class.
        ids: Position of each image in its data set, by which messages name it.
    """

    images: Images
    labels: Int64[Tensor, " batch"] | UInt8[Tensor, "batch classes"] | Float[Tensor, "batch classes"]
    ids: Int64[Tensor, " batch"]


class LocalizationBatch(NamedTuple):
    """Images with the class and the box of one object each.

    Attributes:
        images: Pixels, uint8 in 0 to 255 or float in 0 to 1.
        labels: Class of the object; -1 for an image without one.
        boxes: Box of the object; zeros for an image without one.
        sizes: Height and width of each image inside the padding.
        scale: Original height and width over those in the batch: the factors that map a box back to the original image.
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
        boxes: Box of each object, padded with zeros for images with fewer objects.
        labels: Class of each object; -1 for padding.
        ignore: Whether an object is ignored in matching and evaluation: a crowd of COCO, a difficult one of VOC.
        sizes: Height and width of each image inside the padding.
        scale: Original height and width over those in the batch: the factors that map a box back to the original image.
        ids: Position of each image in its data set.
        areas: Area of each object in square pixels of the original image, from which COCO derives its size class: the
            area of its outline if the data set states it, else that of its box.
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
    """Images with any number of objects, and proposals of where they may be.

    Attributes:
        images: Pixels; this and the other fields are as in :class:`DetectionBatch`.
        proposals: Boxes in pixels of the batch's images, padded with zeros for images with fewer proposals.
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


class InstanceBatch(NamedTuple):
    """Images with any number of objects and the mask of each.

    Attributes:
        images: Pixels; this and the other fields are as in :class:`DetectionBatch`.
        mask_bits: Masks of the objects of each image, see :func:`~visiontasks.instance_masks.pack_masks`.
        mask_windows: Window of each mask, xyxy in pixels of an image of ``mask_sizes``; zeros for an empty one and for
            padding.
        mask_sizes: Height and width of the image that the masks are drawn in: that in the batch in training, the
            original one in evaluation.
    """

    images: Images
    boxes: Float32[Tensor, "batch objects 4"]
    labels: Int64[Tensor, "batch objects"]
    ignore: Bool[Tensor, "batch objects"]
    sizes: Int64[Tensor, "batch 2"]
    scale: Float32[Tensor, "batch 2"]
    ids: Int64[Tensor, " batch"]
    areas: Float32[Tensor, "batch objects"]
    mask_bits: UInt8[Tensor, "batch bytes"]
    mask_windows: Int64[Tensor, "batch objects 4"]
    mask_sizes: Int64[Tensor, "batch 2"]


class SegmentationBatch(NamedTuple):
    """Images with the class of each pixel.

    Attributes:
        images: Pixels, uint8 in 0 to 255 or float in 0 to 1, padded with 0 to the right and below.
        masks: Class of each pixel, 0 to ``num_classes`` - 1; 255 for pixels to be ignored, including padding.
            Multilabel: 1 for each class that the pixel belongs to, else 0.
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
        labels: Class of each image, used to evaluate the codes; -1 if unknown.
        ids: Position of each image in its data set.
    """

    images: Images
    labels: Int64[Tensor, " batch"]
    ids: Int64[Tensor, " batch"]


class ClassificationPredictions(NamedTuple):
    """Predictions of a classifier.

    Attributes:
        probabilities: Probability of each class; rows sum to 1 except for multilabel.
        labels: The most probable class; multilabel: 1 for each class that reaches its threshold, else 0.
        scores: Probability of the predicted class; multilabel: of each class.
    """

    probabilities: Float[Tensor, "batch classes"]
    labels: Int64[Tensor, " batch"] | UInt8[Tensor, "batch classes"]
    scores: Float[Tensor, " batch"] | Float[Tensor, "batch classes"]


class LocalizationPredictions(NamedTuple):
    """Predictions of a localization: one class and one box per image.

    Attributes:
        probabilities: Probability of each class; rows sum to 1.
        labels: The most probable class.
        scores: Its probability.
        boxes: Its box, clipped to the image. Multiplied by the batch's ``scale`` (x by its second column, y by its
            first), it is in pixels of the original image.
        class_boxes: Box of each class; the same for all classes if boxes are class-agnostic.
    """

    probabilities: Float[Tensor, "batch classes"]
    labels: Int64[Tensor, " batch"]
    scores: Float[Tensor, " batch"]
    boxes: Float32[Tensor, "batch 4"]
    class_boxes: Float32[Tensor, "batch classes 4"]


class SegmentationPredictions(NamedTuple):
    """Predictions of a segmentation.

    Attributes:
        labels: The most probable class of each pixel; multilabel: 1 for each class that the pixel belongs to, else 0.
        scores: Probability of the most probable class; multilabel: of each class.
    """

    labels: UInt8[Tensor, "batch height width"] | UInt8[Tensor, "batch classes height width"]
    scores: Float[Tensor, "batch height width"] | Float[Tensor, "batch classes height width"]


class AutoencodingPredictions(NamedTuple):
    """Predictions of an autoencoder.

    Attributes:
        images: Image reconstructed from its code, pixels in 0 to 1.
        codes: Code of each image: a vector, or a map at the coarsest stride of the backbone.
    """

    images: Float32[Tensor, "batch channels height width"]
    codes: Float32[Tensor, "batch code"] | Float32[Tensor, "batch code rows columns"]


class DetectionPredictions(NamedTuple):
    """Predictions of a detector: the detections of each image in descending order of score, then padding.

    Attributes:
        boxes: Boxes, clipped to the images. Multiplied by the batch's ``scale`` (x by its second column, y by its
            first), they are in pixels of the original image. Zeros for padding.
        scores: Probability of the class of each detection; 0 for padding.
        labels: Class of each detection; -1 for padding.
    """

    boxes: Float32[Tensor, "batch detections 4"]
    scores: Float32[Tensor, "batch detections"]
    labels: Int64[Tensor, "batch detections"]


class InstancePredictions(NamedTuple):
    """Predictions of a detector with masks: the detections of each image in descending order of score, then padding.

    Attributes:
        boxes: Boxes; this and the next fields are as in :class:`DetectionPredictions`.
        scores: Probability of the class of each detection; 0 for padding.
        labels: Class of each detection; -1 for padding.
        masks: Probability that a place of the box belongs to the object, on a grid over the box; 0 for padding.
    """

    boxes: Float32[Tensor, "batch detections 4"]
    scores: Float32[Tensor, "batch detections"]
    labels: Int64[Tensor, "batch detections"]
    masks: Float32[Tensor, "batch detections rows columns"]


def ids_of(batch: Any) -> Int64[Tensor, " batch"]:  # noqa: ANN401 (of any task)
    """Return the position of each image in its data set, or in the batch if a custom tuple has no ``ids``."""
    ids = getattr(batch, "ids", None)
    return ids if isinstance(ids, Tensor) else torch.arange(len(batch.images), device=batch.images.device)


def labels_of(batch: Any) -> Int64[Tensor, " batch"]:  # noqa: ANN401 (of any task)
    """Return the class of each image; -1 if the batch does not state one class per image."""
    labels = getattr(batch, "labels", None)
    if isinstance(labels, Tensor) and labels.ndim == 1 and not labels.is_floating_point():
        return labels
    return torch.full((len(batch.images),), -1, device=batch.images.device)
