"""Generated shapes: data for every task without a file."""

from typing import Any, Literal

import torch

from visiontasks.data.affine import BatchAffine, Strength
from visiontasks.data.base import VisionDataModule
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.datasets.memory_detection import MemoryDetection
from visiontasks.data.datasets.shapes import CLASS_NAMES, ShapesDataset
from visiontasks.data.proposals import ProposalFile
from visiontasks.data.transforms import Augmentation
from visiontasks.errors import ArgumentError, near_matches
from visiontasks.types import Statistics


class ShapesDataModule(VisionDataModule):
    """Circles, squares, triangles and stars on textured grounds, for classification or detection.

    The images are generated once, at ``setup``, and kept in memory. Every image is determined by ``data_seed``, its
    split and its position, so that all runs see the same data.

    Args:
        task: ``"classification"`` of images with one object, or ``"detection"`` of one to ``objects`` in each.
        train_size: Training images.
        val_size: Validation images.
        test_size: Test images.
        size: Height and width in pixels.
        channels: Channels of the images; 1 is grey, 3 is RGB.
        data_seed: Seed of the images.
        augmentation: How strongly training images are rotated, scaled and shifted, see
            :meth:`BatchAffine.preset <visiontasks.data.affine.BatchAffine.preset>`; in detection the preset of that
            name for images with boxes, see :mod:`visiontasks.data.presets`.
        objects: Most objects in an image of detection.
        proposals: Detection: a file of proposals, see :mod:`visiontasks.data.proposals`, that batches then have.
        **kwargs: Arguments of :class:`~visiontasks.data.base.VisionDataModule`.

    Raises:
        ArgumentError: If an argument is out of range.

    Example:
        >>> data = ShapesDataModule(train_size=8, batch_size=4)
        >>> data.setup("fit")
        >>> next(iter(data.train_dataloader())).images.shape
        torch.Size([4, 3, 64, 64])
    """

    train_set: MemoryDataset

    def __init__(
        self,
        task: Literal["classification", "detection"] = "classification",
        *,
        train_size: int = 2000,
        val_size: int = 500,
        test_size: int = 500,
        size: tuple[int, int] = (64, 64),
        channels: int = 3,
        data_seed: int = 0,
        augmentation: Strength = "none",
        objects: int = 3,
        proposals: str | None = None,
        **kwargs: Any,  # noqa: ANN401 (the arguments of VisionDataModule)
    ) -> None:
        super().__init__(**kwargs)
        if min(train_size, val_size, test_size) < 1:
            message = f"The splits have {train_size}, {val_size} and {test_size} images; expected at least one each."
            raise ArgumentError(message)
        if task not in ("classification", "detection"):
            message = f"task is {task!r}. {near_matches(task, ('classification', 'detection'))}"
            raise ArgumentError(message)
        self.task = task
        self.objects = objects
        self.proposals = proposals
        self.sizes = {"train": train_size, "val": val_size, "test": test_size}
        self.size = size
        self.channels = channels
        self.data_seed = data_seed
        self.augmentation = augmentation
        self._measured: Statistics | None = None

    @property
    def yields(self) -> str:
        """What the batches hold."""
        return self.task

    @property
    def class_names(self) -> tuple[str, ...]:
        """Circle, square, triangle, star."""
        return CLASS_NAMES

    @property
    def in_channels(self) -> int:
        """Channels of the images."""
        return self.channels

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.size

    def setup(self, stage: str) -> None:
        """Generate the splits that a stage needs."""
        if stage in ("fit", "validate") and not hasattr(self, "val_set"):
            self.train_set = self._generate("train", self.augmentation)
            self.val_set = self._generate("val")
        if stage in ("test", "predict") and not hasattr(self, "test_set"):
            self.test_set = self._generate("test")

    def statistics(self) -> Statistics:
        """Measure the pixel statistics of the training split."""
        if self._measured is None:
            self._measured = self.train_set.statistics()
        return self._measured

    def _generate(self, split: str, augmentation: Strength = "none") -> MemoryDataset:
        seed = 3 * self.data_seed + list(self.sizes).index(split)
        most = self.objects if self.task == "detection" else 1
        shapes = ShapesDataset(
            self.sizes[split], image_size=self.size, seed=seed, channels=self.channels, max_objects=most
        )
        samples = [shapes[index] for index in range(len(shapes))]
        images = torch.stack([sample.image for sample in samples])
        if self.task == "classification":
            labels = torch.tensor([sample.label for sample in samples])
            return MemoryDataset(images, labels, augmentation=BatchAffine.preset(augmentation, self.seed))
        boxes, classes = [sample.boxes for sample in samples], [sample.box_labels for sample in samples]
        changes = Augmentation.create(self.task, augmentation)
        found = None
        if self.proposals is not None:
            file = ProposalFile(self.proposals)
            found = [
                file.boxes(row) for row in file.rows([f"{split}/{index}" for index in range(len(images))]).tolist()
            ]
        return MemoryDetection(images, boxes, classes, None if changes.empty else changes, self.seed, found)
