"""Samples of any task that are small enough to be kept in memory."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from visiontasks.data.augmentation.mask_planes import pack_planes, paint_planes
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.datasets.file_dataset import sample_seed
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.images.arrays import to_tensor
from visiontasks.data.loading.collate import collate, empty_like
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.data.measuring.fingerprint import fingerprint
from visiontasks.description import ClassCounts
from visiontasks.types import IGNORED

_OF_OBJECTS = ("labels", "ignore", "areas")


class MemorySamples(MemoryDataset):
    """Samples in memory, each with boxes, boxes and masks of objects, or a mask of classes.

    Args:
        samples: Batch tuples of one type without the batch axis, such as :class:`~visiontasks.types.LocalizationBatch`;
            at least one, with images of one size.
        augmentation: Applied to every image together with its boxes, proposals and masks. A localization sample whose
            object is cropped away has none.
        seed: Seed of the augmentation.

    Attributes:
        samples: The samples.
    """

    def __init__(self, samples: Sequence[Any], augmentation: Augmentation | None = None, seed: int = 0) -> None:
        present = [_classes(sample) for sample in samples]
        labels = torch.tensor([int(classes[-1]) if len(classes) else -1 for classes in present])
        super().__init__(torch.stack([sample.images for sample in samples]), labels)
        self.samples = samples
        self.augmentation: Augmentation | None = augmentation  # type: ignore[assignment]  # of single samples
        self.seed = seed

    def _batch(self, request: BatchRequest) -> Any:  # noqa: ANN401 (the type of the samples)
        samples = [self._sample(index, request.epoch) for index in request.indices]
        return collate(samples) if samples else empty_like(collate([self._sample(0, request.epoch)]))

    def names(self) -> list[str]:
        """Name the samples by their content and number; proposals are looked up by these names."""
        digest = fingerprint(self)
        return [f"{digest}/{index}" for index in range(len(self))]

    def joined(self, others: Sequence[Self]) -> "MemorySamples":
        """Return these samples and those of others, without augmentation; they are numbered anew."""
        return MemorySamples([sample for each in (self, *others) for sample in each.samples])

    def relabelled(self, labels: Tensor) -> "MemorySamples":
        """Return the same samples with other labels; what is ignored or unknown stays so."""
        return MemorySamples([_relabelled(sample, labels) for sample in self.samples], self.augmentation, self.seed)

    def class_counts(self, num_classes: int) -> ClassCounts:
        """Count all images and the images with each class."""
        classes = torch.cat([_classes(sample) for sample in self.samples])
        return ClassCounts(len(self), torch.bincount(classes, minlength=num_classes))

    def _sample(self, index: int, epoch: int) -> Any:  # noqa: ANN401 (the type of the samples)
        sample = self.samples[index]
        pixels = self.pixels[index].numpy()
        if self.augmentation is not None:
            sample, pixels = _augment(sample, pixels, self.augmentation, sample_seed(self.seed, epoch, index))
        image = to_tensor(pixels)
        return sample._replace(images=image, sizes=torch.tensor(image.shape[1:]), ids=self.ids[index])


def _classes(sample: Any) -> Tensor:  # noqa: ANN401 (of any task)
    """List the classes of a sample, each once, in ascending order."""
    if hasattr(sample, "masks"):
        classes: Tensor = sample.masks[sample.masks != IGNORED].long()
    else:
        classes = sample.labels[sample.labels >= 0].reshape(-1)
    present: Tensor = classes.unique()
    return present


def _relabelled(sample: Any, labels: Tensor) -> Any:  # noqa: ANN401 (of any task)
    if hasattr(sample, "masks"):
        ignored = sample.masks == IGNORED
        masks = labels[sample.masks.long().masked_fill(ignored, 0)].to(sample.masks.dtype)
        return sample._replace(masks=masks.masked_fill(ignored, IGNORED))
    known = sample.labels.clamp(min=0)
    return sample._replace(labels=torch.where(sample.labels < 0, sample.labels, labels[known]))


def _augment(sample: Any, pixels: np.ndarray, augmentation: Augmentation, seed: int) -> tuple[Any, np.ndarray]:  # noqa: ANN401
    """Augment an image together with its boxes, proposals and masks."""
    if hasattr(sample, "masks"):
        changed = augmentation(pixels, seed, mask=sample.masks.numpy())
        assert changed.mask is not None
        return sample._replace(masks=torch.from_numpy(changed.mask.copy())), changed.pixels
    single = sample.labels.ndim == 0
    given = [sample.boxes.reshape(-1, 4), *([sample.proposals] if hasattr(sample, "proposals") else [])]
    if single and sample.labels < 0:
        given = [sample.boxes[:0].reshape(0, 4)]
    planes = None
    if hasattr(sample, "mask_bits"):
        packed = sample.mask_bits.numpy(), sample.mask_windows.numpy()
        planes = paint_planes(*packed, (pixels.shape[0], pixels.shape[1]))
    changed = augmentation(pixels, seed, torch.cat(given).double().numpy(), planes)
    boxes, objects = torch.from_numpy(changed.boxes.astype(np.float32)), changed.kept < len(given[0])
    left = boxes[torch.from_numpy(objects)]
    if single:
        lost = not len(left)
        label = torch.tensor(-1) if lost else sample.labels
        return sample._replace(boxes=torch.zeros(4) if lost else left[0], labels=label), changed.pixels
    kept = torch.from_numpy(changed.kept[objects])
    fields = {name: getattr(sample, name)[kept] for name in _OF_OBJECTS if hasattr(sample, name)}
    if len(given) > 1:
        fields["proposals"] = boxes[torch.from_numpy(~objects)]
    if changed.mask is not None:
        bits, windows = pack_planes(changed.mask, changed.kept)
        fields |= {"mask_bits": torch.from_numpy(bits), "mask_windows": torch.from_numpy(windows)}
        fields["mask_sizes"] = torch.tensor(changed.pixels.shape[:2])
    return sample._replace(boxes=left, **fields), changed.pixels
