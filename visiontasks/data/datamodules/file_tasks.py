"""How images in files are prepared for each kind of task: one row for each, whatever form the annotations have."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from visiontasks.data.augmentation.class_aware_crop import ClassAwareCrop
from visiontasks.data.augmentation.presets import RESIZED, detection_resizing
from visiontasks.data.augmentation.resizing import RandomResizedCrop, RandomScaledCrop, Resizing, Stretch, Whole, Within
from visiontasks.data.datasets.file_dataset import FileDataset
from visiontasks.data.datasets.instances import InstanceDataset
from visiontasks.data.datasets.tasks import (
    AutoencodingDataset,
    ClassificationDataset,
    DetectionDataset,
    LocalizationDataset,
    MultilabelDataset,
    SegmentationDataset,
)
from visiontasks.errors import ArgumentError
from visiontasks.sizes import ImageSize, height_and_width

TaskName = Literal["classification", "localization", "detection", "instances", "segmentation", "autoencoding"]

SIDES = (800, 1333)
"""Shorter and longer side in pixels of images that keep their aspect ratio, by default."""


class Sizes(NamedTuple):
    """What a user chooses about the size of images; see the arguments of ``FileDataModule``.

    Attributes:
        size: Height and width in pixels.
        shorter: Shorter side in pixels of images that keep their aspect ratio.
        longer: Their maximum longer side.
        crop_scale: Minimum and maximum scale of the image from which a crop is taken.
        scale: Factor of the size at which images that are not resized are seen, by which ``crop_scale`` is multiplied.
        preset: Name of the augmentation preset, with what is added to it.
    """

    size: tuple[int, int]
    shorter: int
    longer: int
    crop_scale: tuple[float, float]
    scale: float
    preset: str


class FileTask(NamedTuple):
    """How images in files are prepared for one kind of task.

    Attributes:
        dataset: The data set that makes its samples.
        training: How training images are brought to size.
        evaluation: How the images of validation, test and prediction are.
        size: Default height and width in pixels; None if images keep their aspect ratio by default.
        multiple: The height and width of batches are padded to a multiple of this number.
        batch_size: Default number of images in a batch.
    """

    dataset: type[FileDataset[Any]]
    training: Callable[[Sizes], Resizing]
    evaluation: Callable[[Sizes], Resizing]
    size: tuple[int, int] | None
    multiple: int = 1
    batch_size: int = 16

    def stretched(self) -> "FileTask":
        """Return the preparation for images that are stretched to one size."""
        return self._replace(training=_stretch_alone, evaluation=_stretch, multiple=1)


def checked_scale(task: str, scale: float) -> float:
    """Return the scale at which images are seen.

    Raises:
        ArgumentError: If it is not positive, or the task has another way to say the size of images.
    """
    if not 0 < scale < math.inf or (scale != 1 and task != "segmentation"):
        other = "shorter and longer" if task in ("detection", "instances") else "image_size"
        message = (
            f"scale is {scale}, and task {task!r}; expected a factor of the size of the images, above 0, such as 0.5, "
            f"and task 'segmentation', which takes images as they are. The size for {task} is set by {other}."
        )
        raise ArgumentError(message)
    return scale


def chosen_size(
    task: str, image_size: ImageSize | None, shorter: int, longer: int
) -> tuple[tuple[int, int] | None, bool]:
    """Return the height and width in pixels, None if images keep their shape, and whether a size was given at all.

    Args:
        task: Name of the task.
        image_size: The given size; None for the default of the task.
        shorter: Shorter side in pixels of images that keep their shape.
        longer: Their maximum longer side.

    Raises:
        ArgumentError: If the sides would have no effect.
    """
    bounded = (shorter, longer) != SIDES
    if bounded and task not in ("detection", "instances"):
        message = (
            f"shorter is {shorter} and longer {longer}, and task {task!r}; expected task 'detection' or 'instances', "
            f"whose images keep their shape. The size for {task} is set by image_size"
            f"{', that of crops, and scale' * (task == 'segmentation')}."
        )
        raise ArgumentError(message)
    if bounded and image_size is not None:
        message = (
            f"image_size is {image_size}, to which images are stretched, and shorter is {shorter} and longer {longer}, "
            "within which they keep their shape; expected one of them. Leave image_size out, or shorter and longer "
            f"({SIDES[0]} and {SIDES[1]} are their defaults)."
        )
        raise ArgumentError(message)
    size = FILE_TASKS[task].size if image_size is None else height_and_width("image_size", image_size)
    return size, bounded or image_size is not None


def checked_proposals(task: str, proposals: str | None) -> str | None:
    """Return the file of proposals.

    Raises:
        ArgumentError: If there is one, and the batches of the task have no proposals.
    """
    if proposals is not None and task != "detection":
        message = f"proposals is {proposals!r}, and task {task!r}; expected task 'detection', whose batches have them."
        raise ArgumentError(message)
    return proposals


def preparation_of(kind: str, size: tuple[int, int] | None) -> FileTask:
    """Return how images are prepared.

    Args:
        kind: What the batches hold.
        size: Height and width in pixels that were chosen; images that keep their shape by default are stretched to it.
    """
    preparation = FILE_TASKS[kind]
    return preparation.stretched() if size and not preparation.size else preparation


def evaluation_of(
    kind: str, size: tuple[int, int] | None, sizes: Sizes, eval_size: tuple[int, int] | None
) -> tuple[Resizing, int]:
    """Return how images are brought to size in evaluation, and the multiple of which the sides of a batch are.

    Args:
        kind: What the batches hold.
        size: Height and width in pixels that were chosen.
        sizes: What was chosen about the size of images.
        eval_size: Height and width in evaluation, if they are not those of the training.

    Raises:
        ArgumentError: If images of this kind have no other size in evaluation.
    """
    own = preparation_of(kind, size)
    if eval_size is not None and kind not in ("classification", "localization"):
        flag = {"segmentation": "scale", "autoencoding": "image_size"}.get(kind, "shorter and longer")
        message = (
            f"eval_size is {eval_size}, and the task is {kind!r}; expected classification or localization, whose "
            f"images are stretched to one size. The size for {kind} is set by {flag}."
        )
        raise ArgumentError(message)
    return own.evaluation(sizes._replace(size=eval_size or sizes.size)), own.multiple


def _stretch(sizes: Sizes) -> Resizing:
    return Stretch(sizes.size)


def _stretch_alone(sizes: Sizes) -> Resizing:
    for name in sizes.preset.split("+"):
        if name in RESIZED:
            message = (
                f"augmentation {name!r} resizes images in their shape, image_size {sizes.size} stretches them to one "
                "size. Leave image_size out (shorter and longer bound the sides), or take another augmentation."
            )
            raise ArgumentError(message)
    return _stretch(sizes)


def _crop_if_augmented(sizes: Sizes) -> Resizing:
    weak = {"none", "light"} & {*sizes.preset.split("+")}
    return _stretch(sizes) if weak else RandomResizedCrop(sizes.size, area=(0.25, 1.0))


def _crop(sizes: Sizes) -> Resizing:
    kind = ClassAwareCrop if "class-aware" in sizes.preset.split("+") else RandomScaledCrop
    least, most = sizes.crop_scale
    return kind(sizes.size, (least * sizes.scale, most * sizes.scale))


_DETECTION = FileTask(
    DetectionDataset,
    training=lambda sizes: detection_resizing(sizes.preset, sizes.shorter, sizes.longer),
    evaluation=lambda sizes: Within(sizes.shorter, sizes.longer),
    size=None,
    multiple=32,
    batch_size=4,
)

FILE_TASKS = {
    # A crop of an image shows its class if it has one, but not all of several classes.
    "classification": FileTask(ClassificationDataset, _crop_if_augmented, _stretch, (224, 224)),
    "multilabel classification": FileTask(MultilabelDataset, _stretch, _stretch, (224, 224)),
    "localization": FileTask(LocalizationDataset, _stretch, _stretch, (224, 224)),
    "detection": _DETECTION,
    "instances": _DETECTION._replace(dataset=InstanceDataset),
    "segmentation": FileTask(
        SegmentationDataset,
        training=_crop,
        evaluation=lambda sizes: Whole(sizes.scale),
        size=(384, 384),
    ),
    "autoencoding": FileTask(AutoencodingDataset, _stretch, _stretch, (128, 128)),
}
"""By what the batches hold."""
