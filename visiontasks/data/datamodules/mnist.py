"""MNIST and data sets in its format, kept in memory."""

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from visiontasks.data.datasets.batch_augmentation import batch_augmentation
from visiontasks.data.datasets.idx import download_idx, load_idx
from visiontasks.data.datasets.idx_datasets import get_idx_dataset
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.lightning_modules import VisionDataModule
from visiontasks.data.scoring import matched_names
from visiontasks.errors import ArgumentError


class MNISTDataModule(VisionDataModule):
    """MNIST, Fashion-MNIST, KMNIST or EMNIST for classification.

    The ``.gz`` files are read as they are and kept in memory as one uint8 tensor; a batch is one index operation.

    Args:
        root: Folder that contains ``MNIST/raw`` (torchvision's layout), or the folder of the files itself.
        dataset: ``"mnist"``, ``"fashion-mnist"``, ``"kmnist"`` or ``"emnist-SPLIT"``.
        download: Whether to download missing files; their checksums are verified.
        val_size: Number of training images held out for validation, the same ones for every seed.
        augmentation: How strongly training images are rotated, scaled and shifted: ``"none"``, ``"light"``,
            ``"default"`` or ``"strong"``, see
            :meth:`BatchAffine.preset <visiontasks.data.augmentation.affine.BatchAffine.preset>`; or ``"trivial"`` or
            ``"randaugment"``; each with or without ``"+erasing"``.
        batch_size: Images per training batch and process.
        **kwargs: Arguments of :class:`~visiontasks.data.vision_data.VisionData`.

    Raises:
        ArgumentError: If the data set is unknown (near matches are listed) or more images are held out than there are.
        DataError: If a file is missing or damaged, or images and labels do not match (in ``prepare_data`` and
            ``setup``).
    """

    tasks: ClassVar[tuple[str, ...]] = ("classification",)
    train_set: MemoryDataset

    def __init__(
        self,
        root: str | Path = "data",
        dataset: str = "mnist",
        *,
        download: bool = False,
        val_size: int = 5000,
        augmentation: str = "none",
        batch_size: int = 128,
        **kwargs: Any,  # noqa: ANN401 (the arguments of VisionData)
    ) -> None:
        super().__init__(batch_size=batch_size, **kwargs)
        self.root = Path(root)
        self.dataset = dataset
        self.download = download
        self.val_size = val_size
        self.augmentation = augmentation
        self._class_names = tuple(get_idx_dataset(dataset).class_names)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the labels."""
        return matched_names(self._class_names, self.trained)

    @property
    def own_class_names(self) -> tuple[str, ...]:
        """Names of the classes as the files label them."""
        return self._class_names

    @property
    def in_channels(self) -> int:
        """One: the images are grayscale."""
        return 1

    @property
    def image_size(self) -> tuple[int, int]:
        """28 x 28 pixels."""
        return 28, 28

    def prepare_data(self) -> None:
        """Download missing files if ``download`` is set."""
        if self.download:
            download_idx(self.root, self.dataset)

    def setup(self, stage: str) -> None:
        """Read the splits that a stage needs."""
        if stage in ("fit", "validate") and not hasattr(self, "val_set"):
            images, labels = load_idx(self.root, self.dataset, "train")
            train, val = self._split(len(labels))
            augmentation = batch_augmentation(self.augmentation, self.seed)
            self.train_set = MemoryDataset(images[train], labels[train], train, augmentation)
            self.val_set = MemoryDataset(images[val], labels[val], val)
        if stage in ("test", "predict") and not hasattr(self, "test_set"):
            self.test_set = MemoryDataset(*load_idx(self.root, self.dataset, "test"))

    def _split(self, count: int) -> tuple[Tensor, Tensor]:
        if not 0 < self.val_size < count:
            message = (
                f"val_size is {self.val_size}; expected 1 to {count - 1}, so that some of the {count} images are left."
            )
            raise ArgumentError(message)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
        return order[self.val_size :].sort().values, order[: self.val_size].sort().values
