"""Images with all their objects and the masks of these."""

from random import Random
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int64, UInt8

from visiontasks.data.augmentation.copy_paste import choose
from visiontasks.data.augmentation.mask_paste import Instances, paste_masks
from visiontasks.data.augmentation.mask_planes import pack_planes, paint_planes
from visiontasks.data.datasets.file_dataset import FileDataset, ImageFiles
from visiontasks.data.datasets.pasting import paste_source
from visiontasks.data.images.arrays import to_tensor
from visiontasks.instance_masks import take_masks
from visiontasks.types import InstanceBatch


@runtime_checkable
class InstanceFiles(ImageFiles, Protocol):
    """Interface of an index of images, their objects, and the masks of these."""

    def packed_masks(
        self, image: int, size: tuple[int, int]
    ) -> tuple[UInt8[np.ndarray, " bytes"], Int64[np.ndarray, "objects 4"]]:
        """Return the masks of the objects of an image, see :func:`~visiontasks.instance_masks.pack_masks`."""


class InstanceDataset(FileDataset[InstanceBatch]):
    """Images with all their objects and the mask of each.

    Images, boxes and the order of random numbers are those of
    :class:`~visiontasks.data.datasets.tasks.DetectionDataset`: a box is moved as a box, not as the mask in it. Masks
    are moved with the image in training; in evaluation, without augmentation, they are those of the original image,
    whatever its size in the batch. A mask that is not known, or of which a crop shows nothing although it shows some of
    its box, is empty.

    The masks of an image are kept in their windows, eight pixels to a byte. While they are augmented, seven of them
    take a byte for each pixel of the image, and while they are drawn, one at a time the columns of its window.

    Args:
        index: Files and annotations.
        **kwargs: Arguments of :class:`~visiontasks.data.datasets.file_dataset.FileDataset`.
    """

    index: InstanceFiles

    def __init__(self, index: InstanceFiles, **kwargs: Any) -> None:  # noqa: ANN401 (the arguments of FileDataset)
        super().__init__(index, **kwargs)

    def sample(self, index: int, epoch: int) -> InstanceBatch:
        """Make one sample, with objects of another image if the augmentation pastes some.

        Raises:
            ArgumentError: If the annotations have no masks.
        """
        sample = self._annotated(index, epoch)
        source = paste_source(self, index, epoch, self._annotated)
        if source is None:
            return sample
        assert self.augmentation is not None
        return _paste(sample, *source, self.augmentation.visible)

    def _annotated(self, index: int, epoch: int) -> InstanceBatch:
        boxes, labels, ignore = self.index.objects(index)
        size = self.size(index)
        bits, windows = self.index.packed_masks(index, size)
        planes = None if self.augmentation is None else paint_planes(bits, windows, size)
        view = self.view(index, epoch, boxes, planes)
        if view.mask is None:
            bits, windows = take_masks(bits, windows, view.kept)
        else:
            bits, windows = pack_planes(view.mask.numpy(), view.kept)
        return InstanceBatch(
            view.image,
            view.boxes,
            torch.from_numpy(labels[view.kept].astype(np.int64)),
            torch.from_numpy(ignore[view.kept]),
            view.size,
            view.scale,
            torch.tensor(index),
            torch.from_numpy(self.index.areas_of(index)[view.kept].astype(np.float32)),
            torch.from_numpy(bits),
            torch.from_numpy(windows),
            torch.tensor(size) if view.mask is None else view.size,
        )


def _paste(sample: InstanceBatch, other: InstanceBatch, random: Random, visible: float) -> InstanceBatch:
    """Paste some objects of another sample that have masks and are not ignored."""
    candidates = np.flatnonzero(~other.ignore.numpy() & other.mask_windows.numpy().any(1))
    pasted = paste_masks(
        sample.images.permute(1, 2, 0).numpy(),
        _instances(sample),
        other.images.permute(1, 2, 0).numpy(),
        _instances(other),
        choose(candidates, random),
        visible,
    )
    objects = {
        name: torch.cat([getattr(sample, name)[pasted.kept], getattr(other, name)[pasted.added]])
        for name in ("labels", "ignore", "areas")
    }
    boxes, bits, windows = pasted.instances
    return sample._replace(
        images=to_tensor(pasted.pixels),
        boxes=torch.from_numpy(boxes.astype(np.float32)),
        mask_bits=torch.from_numpy(bits),
        mask_windows=torch.from_numpy(windows),
        **objects,
    )


def _instances(sample: InstanceBatch) -> Instances:
    return Instances(sample.boxes.double().numpy(), sample.mask_bits.numpy(), sample.mask_windows.numpy())
