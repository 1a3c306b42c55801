"""Base of the data modules of images in files, from annotations to batches."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float32
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from visiontasks.data.augmentation.evaluation_view import EvaluationView
from visiontasks.data.augmentation.resizing import Resizing, Stretch, Whole, Within
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.data_module import VisionDataModule
from visiontasks.data.datamodules.file_tasks import FILE_TASKS, FileTask, Sizes, TaskName
from visiontasks.data.datamodules.layouts import check_root
from visiontasks.data.datamodules.splits import Splits
from visiontasks.data.datasets.file_dataset import FileDataset, OnError
from visiontasks.data.datasets.proposals import ProposalDataset
from visiontasks.data.datasets.tasks import DetectionDataset, SegmentationDataset
from visiontasks.data.images.mask_values import MaskValues
from visiontasks.data.images.reading import Reading
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.proposal_files import ProposalFile
from visiontasks.data.index.source import AnnotationSource
from visiontasks.data.loading.ordering import aspect_groups, class_balanced_weights
from visiontasks.data.loading.processes import usable_cores
from visiontasks.data.loading.samplers import TrainingSampler
from visiontasks.data.measuring.frequencies import median_frequency_weights
from visiontasks.data.measuring.statistics import count_classes, load_statistics
from visiontasks.data.measuring.value_range import ValueRange, check_value_range, resolve_value_range
from visiontasks.errors import ArgumentError, check_choice, near_matches
from visiontasks.types import IGNORED, ClassCounts, Statistics


class FileDataModule(VisionDataModule):
    """Images in files with annotations in some format, for one of several tasks.

    A subclass defines which tasks its annotations support and where they are (:meth:`find_source`).

    Args:
        root: Folder of the data set.
        task: What is learnt; it determines the type of the batches and the defaults for image size and augmentation.
        class_names: Classes in the order of the labels; None takes those of the annotations.
        image_size: Height and width in pixels that images are resized to; by default 224 x 224 for classification and
            localization, 128 x 128 for autoencoding. In detection None keeps the aspect ratio of images within
            ``shorter`` and ``longer``. In segmentation it is the size of training crops (384 x 384 by default), and
            whole images are evaluated.
        crop_scale: Segmentation: minimum and maximum scale of the image from which training crops are taken.
        shorter: Detection: length of the shorter side in pixels.
        longer: Detection: maximum length of the longer side in pixels, for which the shorter side is reduced.
        in_channels: Channels of the images: 1 for grey, 3 for RGB, or what the files hold.
        value_range: Values of the files that become 0 and 255, as in ``(0, 4095)`` for 12 bits in 16; ``"percentiles"``
            measures the 0.1th and 99.9th of the training images. By default the range of their type.
        exif: ``"ignore"`` if boxes and masks were drawn on the pixels as they are stored, whatever their orientation.
        augmentation: Random changes of training images: a preset (``"none"``, ``"light"``, ``"default"``, ``"strong"``;
            ``"multiscale"`` in detection), arguments of Albumentations transforms by their names, such as
            ``{"HorizontalFlip": {"p": 0.5}}``, the description of a pipeline (``albumentations.to_dict``), or a
            pipeline of Albumentations or ``torchvision.transforms.v2``, also by its import path.
        lists: Text files, relative to ``root``, with the images of each split, one per line, which replace its splits.
        fractions: Fractions of train, val and test, for splits that the data set does not have.
        split_seed: Seed of the random splits; they do not depend on the training seed.
        balanced: Whether images of rare classes are drawn more often in training.
        on_error: ``"raise"`` stops at a file that cannot be read; ``"skip"`` leaves the file out and counts it.
        cache: Whether decoded images are kept in memory.
        proposals: Detection: a file of proposals for the batches, see :mod:`visiontasks.data.index.proposal_files`.
        batch_size: Images per training batch and process.
        num_workers: Processes that prepare batches; by default one per core, 8 at most.
        **kwargs: Arguments of :class:`~visiontasks.data.data_module.VisionDataModule`.

    Raises:
        ArgumentError: If the data set does not support the task, or an argument is out of range.
        DataError: If the folder does not contain such a data set, or its annotations have errors (when first used).
    """

    tasks: ClassVar[tuple[TaskName, ...]]
    multilabel = False
    """Whether an image may have several classes in classification."""
    ignore_index = IGNORED
    mask_values: MaskValues | None = None
    """Value of ignored pixels in mask files, and values or colours of the classes if they are not their numbers."""
    in_channels = 3
    train_set: FileDataset[Any]

    def __init__(
        self,
        root: str | Path,
        task: str,
        *,
        class_names: Sequence[str] | None = None,
        image_size: tuple[int, int] | None = None,
        crop_scale: tuple[float, float] = (0.5, 2.0),
        shorter: int = 800,
        longer: int = 1333,
        in_channels: int = 3,
        value_range: ValueRange = None,
        exif: Literal["apply", "ignore"] = "apply",
        augmentation: str | dict[str, Any] | Augmentation | Callable[..., Any] = "default",
        lists: Mapping[str, str] | None = None,
        fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
        split_seed: int = 0,
        balanced: bool = False,
        on_error: Literal["raise", "skip"] = "raise",
        cache: bool = False,
        proposals: str | None = None,
        batch_size: int = 16,
        num_workers: int | None = None,
        **kwargs: Any,  # noqa: ANN401 (the arguments of VisionDataModule)
    ) -> None:
        workers = usable_cores(8) if num_workers is None else num_workers
        super().__init__(batch_size=batch_size, num_workers=workers, **kwargs)
        if task not in self.tasks:
            message = f"task is {task!r}, which {type(self).__name__} has no data for. {near_matches(task, self.tasks)}"
            raise ArgumentError(message)
        self.root = Path(root)
        self.task = task
        self.in_channels = in_channels
        check_choice("exif", exif, ("apply", "ignore"))
        self.value_range, self.exif = check_value_range(value_range), exif
        self.size = image_size or FILE_TASKS[task].size
        self.crop_scale = crop_scale
        self.shorter = shorter
        self.longer = longer
        self.augmentation = augmentation
        self.balanced = balanced
        self.on_error = on_error
        self.cache = cache
        self.proposals = proposals
        self._measured: Statistics | None = None
        self._splits = Splits(
            self._find,
            class_names=None if class_names is None else tuple(class_names),
            lists=lists,
            root=self.root,
            fractions=fractions,
            seed=split_seed,
            select=self.select,
        )
        self.transform = Augmentation.create(task, augmentation)

    @abstractmethod
    def find_source(self, split: str, class_names: tuple[str, ...] | None) -> AnnotationSource | None:
        """Find the annotations of a split.

        Args:
            split: ``"train"``, ``"val"`` or ``"test"``.
            class_names: Classes in the order of the labels; None takes those of the annotations.

        Returns:
            The source to parse; None for a split that the data set does not have. There is always one for training.

        Raises:
            DataError: If the folder does not contain such a data set.
        """

    def select(self, index: ImageIndex) -> ImageIndex:
        """Select the images of a split to use; by default all."""
        return index

    @cached_property
    def splits(self) -> Splits:
        """The annotations of each split; missing files are downloaded first if ``download`` is set."""
        self.prepare_data()
        return self._splits

    @property
    def yields(self) -> str:
        """What the batches hold."""
        return "multilabel classification" if self.task == "classification" and self.multilabel else self.task

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the labels; in segmentation, of the values that a pixel can have."""
        return self.splits.class_names

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of the images in a batch; None when it varies, as in segmentation's evaluation."""
        evaluation = self._resizing(training=False)
        return evaluation.size if isinstance(evaluation, Stretch) else None

    @cached_property
    def reading(self) -> Reading:
        """How image files are read; the range of their values is measured if that is asked for."""
        values = resolve_value_range(self.value_range, lambda: self.splits["train"].index)
        return Reading(self.in_channels, values, self.exif == "apply")

    @property
    def view(self) -> dict[str, Any]:
        """How images are brought to the network in evaluation."""
        multiple = self._preparation(self.task).multiple
        evaluation, reading = self._resizing(training=False), self.reading
        return EvaluationView(evaluation, multiple, reading.value_range, reading.exif).describe()

    def setup(self, stage: str) -> None:
        """Read the annotations of the splits that a stage needs."""
        if stage in ("fit", "validate") and not hasattr(self, "val_set"):
            if stage == "fit" or not hasattr(self, "train_set"):
                self.train_set = self.dataset("train", training=True)
            self.val_set = self.dataset("val")
        if stage in ("test", "predict") and not hasattr(self, "test_set"):
            if self.splits.origin("test") == "val":
                rank_zero_info("The data set has no test split; the validation split stands in for it.")
            self.test_set = self.dataset("test")

    def dataset(self, split: str, *, training: bool = False, cache: bool | None = None) -> FileDataset[Any]:
        """Create the data set of a split.

        Args:
            split: ``"train"``, ``"val"`` or ``"test"``.
            training: Whether images are augmented and cropped at random.
            cache: Whether to keep decoded images in memory; None takes the setting of the data module.
        """
        index = self.splits[split].index  # which may tell what the values of masks are
        preparation, options = self._preparation(self.yields), dict[str, Any]()
        kind = preparation.dataset
        if kind is SegmentationDataset:
            options = {"classes": self.num_classes, "ignore_index": self.ignore_index, "mask_values": self.mask_values}
        elif kind is DetectionDataset and self.proposals is not None:
            kind, options = ProposalDataset, {"proposals": ProposalFile(self.proposals)}
        failing: OnError = "replace" if training else "skip"
        return kind(
            index,
            reading=self.reading,
            resizing=self._resizing(training=training),
            augmentation=self.transform if training else None,
            seed=self.seed,
            on_error="raise" if self.on_error == "raise" else failing,
            cache=self.cache if cache is None else cache,
            multiple=preparation.multiple,
            **options,
        )

    def plain_train_set(self) -> FileDataset[Any]:
        """Return the training split without augmentation and random crops; it shares the decoded images of training."""
        plain = self.dataset("train", cache=False)
        plain.cache = self.train_set.cache
        return plain

    def train_sampler(self) -> TrainingSampler:
        """Create the training sampler: batches of similar shapes if shapes vary, balanced classes if asked for.

        Raises:
            ArgumentError: If images are to be balanced but have no classes.
        """
        index = self.splits["train"].index
        groups = weights = None
        if self.balanced:
            if not len(index.labels):
                message = "balanced draws images by the classes of their objects, which the annotations do not have."
                raise ArgumentError(message)
            weights = class_balanced_weights(index.labels, index.offsets)
        elif isinstance(self.train_set.resizing, Within):
            groups = aspect_groups(np.maximum(self.train_set.sizes(), 1))
        return TrainingSampler(
            self.train_set, self.batch_size, self.seed, self.drop_last, groups=groups, weights=weights
        )

    def statistics(self) -> Statistics:
        """Measure the pixel statistics of the training split without augmentation, once per data set and size."""
        if self._measured is None:
            index = self.splits["train"].index
            resizing = Stretch(self.image_size) if self.image_size else Whole()
            skip = self.on_error == "skip"
            self._measured = load_statistics(index, self.reading, resizing, self.num_workers, skip=skip)
        return self._measured

    def class_counts(self) -> ClassCounts:
        """Count the training images with each annotated class; with one class per image, that of its first object."""
        return count_classes(self.splits["train"].index, of_first=self.yields == "classification")

    def median_frequency_weights(self) -> Float32[Tensor, " classes"]:
        """Measure the weights that balance the classes of the training masks; called after ``setup("fit")``."""
        if not isinstance(self.train_set, SegmentationDataset):
            message = f"class_weights 'median_frequency' is of pixels; the task of the data is {self.task!r}."
            raise ArgumentError(message)
        return median_frequency_weights(self.train_set)

    def _find(self, split: str, class_names: tuple[str, ...] | None) -> AnnotationSource | None:
        check_root(self.root)
        return self.find_source(split, class_names)

    def _preparation(self, kind: str) -> FileTask:
        preparation = FILE_TASKS[kind]
        return preparation.stretched() if self.size and not preparation.size else preparation

    def _resizing(self, *, training: bool) -> Resizing:
        preset = self.augmentation if isinstance(self.augmentation, str) else "default"
        sizes = Sizes(self.size or (0, 0), self.shorter, self.longer, self.crop_scale, preset)
        if training:
            return self._preparation(self.yields).training(sizes)
        # Whether images have several classes, for which annotations are read, makes no difference here.
        return self._preparation(self.task).evaluation(sizes)
