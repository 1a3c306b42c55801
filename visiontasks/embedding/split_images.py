"""The images of a split of a data set, to be brought to a network as files are."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

from visiontasks.data.datasets.file_dataset import FileDataset
from visiontasks.data.images.reading import Reading
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.data.vision_data import VisionData
from visiontasks.errors import check_choice
from visiontasks.prediction.images import ImageSource
from visiontasks.types import labels_of

SPLITS = ("train", "val", "test")


class SplitImages(NamedTuple):
    """Images of a split.

    Attributes:
        names: File of each image, or its split and position.
        labels: Class of each image; -1 if it is unknown, or there are several.
        sources: The images: files, or pixels.
        reading: How files are read; None for pixels.
    """

    names: list[str]
    labels: Int64[Tensor, " images"]
    sources: list[ImageSource]
    reading: Reading | None


def split_images(data: VisionData, split: str) -> SplitImages:
    """List the images of a split, without augmentation.

    Args:
        data: The data module.
        split: ``"train"``, ``"val"`` or ``"test"``.

    Raises:
        ArgumentError: If there is no such split.
    """
    check_choice("split", split, SPLITS)
    data.prepare_data()
    data.setup("test" if split == "test" else "fit")
    dataset: Any = data.plain_train_set() if split == "train" else getattr(data, f"{split}_set")
    images = range(len(dataset))
    if isinstance(dataset, FileDataset):
        files: list[ImageSource] = [dataset.index.file(image) for image in images]
        labels = torch.tensor([_only_class(dataset.index.objects(image)[1].tolist()) for image in images])
        return SplitImages([str(file) for file in files], labels.long(), files, dataset.reading)
    batches = [dataset[BatchRequest([image], epoch=0)] for image in images]
    shown: list[ImageSource] = [image for batch in batches for image in _inside(batch)]
    names = [f"{split}/{image}" for image in images]
    return SplitImages(names, torch.cat([labels_of(batch) for batch in batches]), shown, None)


def _only_class(labels: list[int]) -> int:
    return labels[0] if len(set(labels)) == 1 else -1


def _inside(batch: Any) -> Iterator[Tensor]:  # noqa: ANN401 (of any task)
    """Yield the images of a batch without their padding."""
    sizes = batch.sizes.tolist() if hasattr(batch, "sizes") else [batch.images.shape[-2:]] * len(batch.images)
    for image, (height, width) in zip(batch.images, sizes, strict=True):
        yield image[:, :height, :width]
