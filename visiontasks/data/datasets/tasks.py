"""Data sets of images in files, one per task."""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from visiontasks.data.augmentation.copy_paste import choose, paste
from visiontasks.data.datasets.file_dataset import FileDataset, ImageFiles
from visiontasks.data.datasets.pasting import paste_source
from visiontasks.data.images.arrays import to_tensor
from visiontasks.data.images.mask_reading import check_mask, read_mask
from visiontasks.data.images.mask_values import MaskValues
from visiontasks.errors import ArgumentError, DataError
from visiontasks.types import (
    IGNORED,
    AutoencodingBatch,
    ClassificationBatch,
    DetectionBatch,
    LocalizationBatch,
    SegmentationBatch,
)


class ClassificationDataset(FileDataset[ClassificationBatch]):
    """Images with one class each: that of their first object.

    Its arguments are those of :class:`~visiontasks.data.datasets.file_dataset.FileDataset`.
    """

    def sample(self, index: int, epoch: int) -> ClassificationBatch:
        """Make one sample.

        Raises:
            DataError: If the image has no class.
        """
        _, labels, _ = self.index.objects(index)
        if not len(labels):
            message = f"{str(self.index.file(index))!r} has no class; expected one. Leave it out, or train multilabel."
            raise DataError(message)
        return ClassificationBatch(self.view(index, epoch).image, torch.tensor(int(labels[0])), torch.tensor(index))


class MultilabelDataset(FileDataset[ClassificationBatch]):
    """Images with any number of classes: those of their objects, including crowds and difficult objects.

    Its arguments are those of :class:`~visiontasks.data.datasets.file_dataset.FileDataset`.
    """

    def sample(self, index: int, epoch: int) -> ClassificationBatch:
        """Make one sample."""
        labels = torch.zeros(len(self.index.class_names), dtype=torch.uint8)
        labels[torch.from_numpy(self.index.objects(index)[1].astype(np.int64))] = 1
        return ClassificationBatch(self.view(index, epoch).image, labels, torch.tensor(index))


class LocalizationDataset(FileDataset[LocalizationBatch]):
    """Images with the class and the box of their largest object that is not ignored.

    Its arguments are those of :class:`~visiontasks.data.datasets.file_dataset.FileDataset`.
    """

    def sample(self, index: int, epoch: int) -> LocalizationBatch:
        """Make one sample."""
        boxes, labels, ignore = self.index.objects(index)
        counted = np.flatnonzero(~ignore)
        sides = boxes[counted, 2:] - boxes[counted, :2]
        largest = counted[[sides.prod(1).argmax()]] if len(counted) else counted
        view = self.view(index, epoch, boxes[largest])
        seen = len(view.kept) > 0
        return LocalizationBatch(
            view.image,
            torch.tensor(int(labels[largest[0]]) if seen else -1),
            view.boxes[0] if seen else torch.zeros(4),
            view.size,
            view.scale,
            torch.tensor(index),
        )


class DetectionDataset(FileDataset[DetectionBatch]):
    """Images with all their objects.

    Its arguments are those of :class:`~visiontasks.data.datasets.file_dataset.FileDataset`.
    """

    def sample(self, index: int, epoch: int) -> DetectionBatch:
        """Make one sample, with objects of another image if the augmentation pastes some."""
        sample = self._annotated(index, epoch)
        source = paste_source(self, index, epoch, self._annotated)
        if source is None:
            return sample
        assert self.augmentation is not None
        return _paste(sample, *source, self.augmentation.visible)

    def _annotated(self, index: int, epoch: int) -> DetectionBatch:
        boxes, labels, ignore = self.index.objects(index)
        view = self.view(index, epoch, boxes)
        return DetectionBatch(
            view.image,
            view.boxes,
            torch.from_numpy(labels[view.kept].astype(np.int64)),
            torch.from_numpy(ignore[view.kept]),
            view.size,
            view.scale,
            torch.tensor(index),
            torch.from_numpy(self.index.areas_of(index)[view.kept].astype(np.float32)),
        )


def _paste(sample: DetectionBatch, other: DetectionBatch, random: Random, visible: float) -> DetectionBatch:
    """Paste some objects of another sample, none of which is ignored."""
    pasted = paste(
        sample.images.permute(1, 2, 0).numpy(),
        sample.boxes.double().numpy(),
        other.images.permute(1, 2, 0).numpy(),
        other.boxes.double().numpy(),
        choose(np.flatnonzero(~other.ignore.numpy()), random),
        visible,
    )
    objects = {
        name: torch.cat([getattr(sample, name)[pasted.kept], getattr(other, name)[pasted.added]])
        for name in ("labels", "ignore", "areas")
    }
    boxes = torch.from_numpy(pasted.boxes.astype(np.float32))
    return sample._replace(images=to_tensor(pasted.pixels), boxes=boxes, **objects)


class SegmentationDataset(FileDataset[SegmentationBatch]):
    """Images with the class of each pixel, from mask files or from the polygons of the index.

    Args:
        index: Files and annotations.
        classes: Number of classes, including the background if it is one; at most 255. By default the number of class
            names for mask files, and one more, for the background, for polygons.
        ignore_index: Value of ignored pixels in mask files. In batches it is 255.
        mask_values: Values or colours of the classes in mask files; by default the numbers of the classes.
        **kwargs: Arguments of :class:`~visiontasks.data.datasets.file_dataset.FileDataset`.

    Raises:
        ArgumentError: If there are more classes than a mask can represent.
    """

    def __init__(
        self,
        index: ImageFiles,
        *,
        classes: int | None = None,
        ignore_index: int = IGNORED,
        mask_values: MaskValues | None = None,
        **kwargs: Any,  # noqa: ANN401 (the arguments of FileDataset)
    ) -> None:
        super().__init__(index, **kwargs)
        self.classes = classes or len(index.class_names) + (index.masks is None)
        self.ignore_index = ignore_index
        self.mask_values = mask_values
        if self.classes > IGNORED:
            message = f"The masks have {self.classes} classes; expected at most {IGNORED}: a pixel is one byte."
            raise ArgumentError(message)

    def sample(self, index: int, epoch: int) -> SegmentationBatch:
        """Make one sample."""
        view = self.view(index, epoch, mask=self.mask(index))
        assert view.mask is not None
        return SegmentationBatch(view.image, view.mask, view.size, view.scale, torch.tensor(index))

    def mask(self, index: int) -> UInt8[np.ndarray, "height width"]:
        """Read the mask of an image.

        Raises:
            UnreadableFileError: If the file is missing, damaged, or not a mask.
            DataError: If its size differs from that of the image, or a value is not a class.
        """
        size = self.size(index)
        if self.index.masks is None:
            return check_mask(self.index.class_map(index, size), self.index.file(index), size, self.classes, IGNORED)
        name = self.index.masks[index]
        if not name:
            message = f"{str(self.index.file(index))!r} has no mask file; expected one. Leave the image out."
            raise DataError(message)
        path = Path(self.index.root) / name
        most = self.reading.max_pixels
        if self.mask_values is not None:
            return check_mask(self.mask_values.read(path, most), path, size, self.classes, IGNORED)
        return check_mask(read_mask(path, most), path, size, self.classes, self.ignore_index)


class AutoencodingDataset(FileDataset[AutoencodingBatch]):
    """Images, with the class of their first object if there is one.

    Its arguments are those of :class:`~visiontasks.data.datasets.file_dataset.FileDataset`.
    """

    def sample(self, index: int, epoch: int) -> AutoencodingBatch:
        """Make one sample."""
        _, labels, _ = self.index.objects(index)
        label = int(labels[0]) if len(labels) else -1
        return AutoencodingBatch(self.view(index, epoch).image, torch.tensor(label), torch.tensor(index))
