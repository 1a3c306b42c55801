"""Generated shapes: data for every task without any files."""

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from visiontasks.data.augmentation.evaluation_view import EvaluationView
from visiontasks.data.augmentation.presets import check_whole
from visiontasks.data.augmentation.resizing import Stretch, Whole
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.datamodules.file_tasks import checked_proposals
from visiontasks.data.datasets.batch_augmentation import batch_augmentation
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.datasets.memory_samples import MemorySamples
from visiontasks.data.datasets.shapes import CLASS_NAMES, ShapesDataset, ShapesSample
from visiontasks.data.index.proposal_files import ProposalFile
from visiontasks.data.lightning_modules import VisionDataModule
from visiontasks.data.scoring import ScoredSplit, Trained, matched_names
from visiontasks.errors import ArgumentError, check_choice
from visiontasks.instance_masks import pack_masks
from visiontasks.sizes import ImageSize, height_and_width
from visiontasks.types import DetectionBatch, InstanceBatch, LocalizationBatch, ProposalBatch, SegmentationBatch


class ShapesDataModule(VisionDataModule):
    """Circles, squares, triangles and stars on textured backgrounds, for any task.

    The images are generated once, in ``setup``, and kept in memory. Every image is determined by ``data_seed``, its
    split and its position, so that all runs see the same data.

    Args:
        task: ``"classification"``; ``"localization"`` for batches with the box of the object; ``"detection"`` for all
            boxes; ``"instances"`` for all boxes, and the mask of what is visible of each object; ``"segmentation"`` for
            the class of each pixel, in which ``background`` is a separate class.
        train_size: Number of training images.
        val_size: Number of validation images.
        test_size: Number of test images.
        image_size: Height and width in pixels, or one number for both.
        in_channels: Number of channels of the images; 1 is grayscale, 3 is RGB.
        data_seed: Seed of the images.
        augmentation: How strongly training images are rotated, scaled and shifted, see :meth:`BatchAffine.preset
            <visiontasks.data.augmentation.affine.BatchAffine.preset>`, or in classification ``"trivial"`` or
            ``"randaugment"``, each with or without ``"+erasing"``; tasks with boxes or masks use their own preset of
            that name, see :mod:`visiontasks.data.augmentation.presets`.
        max_objects: Maximum number of objects in an image; every number from 1 to it is equally likely. By default 3 in
            detection and for instances, else 1.
        proposals: Detection: a file of proposals to include in the batches, see
            :mod:`visiontasks.data.index.proposal_files`.
        **kwargs: Arguments of :class:`~visiontasks.data.vision_data.VisionData`.

    Raises:
        ArgumentError: If an argument is out of range.

    Example:
        >>> data = ShapesDataModule(train_size=8, batch_size=4)
        >>> data.setup("fit")
        >>> next(iter(data.train_dataloader())).images.shape
        torch.Size([4, 3, 64, 64])
    """

    tasks: ClassVar[tuple[str, ...]] = ("classification", "localization", "detection", "instances", "segmentation")
    train_set: MemoryDataset

    def __init__(
        self,
        task: Literal["classification", "localization", "detection", "instances", "segmentation"] = "classification",
        *,
        train_size: int = 2000,
        val_size: int = 500,
        test_size: int = 500,
        image_size: ImageSize = (64, 64),
        in_channels: int = 3,
        data_seed: int = 0,
        augmentation: str = "none",
        max_objects: int | None = None,
        proposals: str | None = None,
        **kwargs: Any,  # noqa: ANN401 (the arguments of VisionData)
    ) -> None:
        super().__init__(**kwargs)
        if min(train_size, val_size, test_size) < 1:
            message = f"The splits have {train_size}, {val_size} and {test_size} images; expected at least one each."
            raise ArgumentError(message)
        check_choice("task", task, self.tasks)
        self.task = task
        self.max_objects = max_objects or (3 if task in ("detection", "instances") else 1)
        self.proposals = checked_proposals(task, proposals)
        self.sizes = {"train": train_size, "val": val_size, "test": test_size}
        self.size = height_and_width("image_size", image_size)
        self.channels = in_channels
        self.data_seed = data_seed
        self.augmentation = augmentation

    @property
    def yields(self) -> str:
        """What the batches hold."""
        return self.task

    @property
    def class_names(self) -> tuple[str, ...]:
        """Circle, square, triangle, star; in segmentation, background comes first."""
        return matched_names(self.own_class_names, self.trained)

    @property
    def own_class_names(self) -> tuple[str, ...]:
        """Names of the classes as the images are labelled when they are drawn."""
        return ("background", *CLASS_NAMES) if self.task == "segmentation" else CLASS_NAMES

    @property
    def in_channels(self) -> int:
        """Channels of the images."""
        return self.channels

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.size

    @property
    def view(self) -> dict[str, Any]:
        """How images are brought to the network in evaluation: whole in segmentation, which takes any size."""
        return EvaluationView(Whole() if self.task == "segmentation" else Stretch(self.size)).describe()

    def match(self, trained: Trained, split: ScoredSplit | None = None) -> None:
        """Take over what a checkpoint knows: its classes, the channels, and the size if it has one."""
        super().match(trained, split)
        self.channels = trained.in_channels
        if trained.view is not None and trained.view.get("size"):
            height, width = trained.view["size"]
            self.size = (height, width)

    def setup(self, stage: str) -> None:
        """Generate the splits that a stage needs."""
        if stage in ("fit", "validate") and not hasattr(self, "val_set"):
            self.train_set = self._generate("train", self.augmentation)
            self.val_set = self._generate("val")
        if stage in ("test", "predict") and not hasattr(self, "test_set"):
            self.test_set = self._generate("test")

    def _generate(self, split: str, augmentation: str = "none") -> MemoryDataset:
        seed = 3 * self.data_seed + list(self.sizes).index(split)
        shapes = ShapesDataset(
            self.sizes[split], image_size=self.size, max_objects=self.max_objects, seed=seed, channels=self.channels
        )
        drawn = [shapes[index] for index in range(len(shapes))]
        if self.task == "classification":
            images = torch.stack([sample.image for sample in drawn])
            labels = torch.tensor([sample.label for sample in drawn])
            return MemoryDataset(images, labels, augmentation=batch_augmentation(augmentation, self.seed))
        samples = [_sample(self.task, sample, torch.tensor(index)) for index, sample in enumerate(drawn)]
        if self.proposals is not None:
            file = ProposalFile(self.proposals)
            rows = file.rows(MemorySamples(samples).names()).tolist()
            proposals = [torch.from_numpy(file.boxes(row)).float() for row in rows]
            samples = [
                ProposalBatch(**sample._asdict(), proposals=boxes)
                for sample, boxes in zip(samples, proposals, strict=True)
            ]
        check_whole(augmentation)
        changes = Augmentation.create(self.task, augmentation)
        return MemorySamples(samples, None if changes.empty else changes, self.seed)


def _sample(task: str, drawn: ShapesSample, index: Tensor) -> Any:  # noqa: ANN401 (the batch tuple of the task)
    image, size, scale = drawn.image, torch.tensor(drawn.image.shape[1:]), torch.ones(2)
    if task == "localization":
        return LocalizationBatch(image, torch.tensor(drawn.label), drawn.box, size, scale, index)
    if task == "segmentation":
        return SegmentationBatch(image, drawn.mask, size, scale, index)
    ignore, areas = torch.zeros(len(drawn.boxes), dtype=torch.bool), (drawn.boxes[:, 2:] - drawn.boxes[:, :2]).prod(1)
    detection = DetectionBatch(image, drawn.boxes, drawn.box_labels, ignore, size, scale, index, areas)
    if task == "detection":
        return detection
    bits, windows = pack_masks(drawn.owners.numpy() == np.arange(1, len(drawn.boxes) + 1)[:, None, None])
    return InstanceBatch(*detection, torch.from_numpy(bits), torch.from_numpy(windows), size)
