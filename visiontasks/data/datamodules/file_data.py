"""Base of the data modules of images in files, from annotations to batches."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from jaxtyping import Float32
from torch import Tensor

from visiontasks.data.augmentation.evaluation_view import EvaluationView
from visiontasks.data.augmentation.resizing import Resizing, Stretch, Whole
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.datamodules.crops import fit_crops
from visiontasks.data.datamodules.file_tasks import (
    FILE_TASKS,
    SIDES,
    Sizes,
    TaskName,
    checked_proposals,
    checked_scale,
    chosen_size,
    evaluation_of,
    preparation_of,
)
from visiontasks.data.datamodules.layouts import check_root
from visiontasks.data.datamodules.matching import match_files
from visiontasks.data.datamodules.sampling import drawing
from visiontasks.data.datamodules.splits import FRACTIONS, Splits
from visiontasks.data.datasets.file_dataset import FileDataset
from visiontasks.data.datasets.proposals import ProposalDataset
from visiontasks.data.datasets.tasks import DetectionDataset, SegmentationDataset
from visiontasks.data.images.mask_values import MaskValues
from visiontasks.data.images.reading import Reading
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.proposal_files import ProposalFile
from visiontasks.data.index.source import AnnotationSource
from visiontasks.data.loading.processes import usable_cores
from visiontasks.data.loading.samplers import TrainingSampler
from visiontasks.data.measuring.frequencies import median_frequency_weights
from visiontasks.data.measuring.statistics import count_classes, load_statistics
from visiontasks.data.measuring.value_range import ValueRange, check_value_range, resolve_value_range
from visiontasks.data.messages import inform
from visiontasks.data.scoring import ScoredSplit, Trained, read_as_trained, sizes_as_trained
from visiontasks.data.vision_data import VisionData
from visiontasks.description import ClassCounts, Statistics
from visiontasks.errors import ArgumentError, check_choice, near_matches
from visiontasks.sizes import ImageSize
from visiontasks.types import IGNORED


class FileData(VisionData):
    """Images in files with annotations, for one of the ``tasks`` of a subclass, which says where they are.

    Args:
        root: Folder of the data set.
        task: What is learnt; it determines the type of the batches and the defaults for image size and augmentation.
        class_names: Classes in the order of the labels; None takes those of the annotations.
        image_size: Height and width in pixels that images are resized to, or one number; by default 224 x 224, for
            autoencoding 128 x 128. In detection and for instances None keeps the aspect ratio, see ``shorter``. In
            segmentation it is the size of training crops (by default that of the images, 384 x 384 at most).
        scale: Segmentation: factor of the size at which images are seen, as 0.5; masks and scores keep the whole size.
        crop_scale: Segmentation: minimum and maximum scale, times ``scale``, at which training crops are taken.
        shorter: Detection, instances: length of the shorter side in pixels.
        longer: Detection, instances: maximum length of the longer side, for which the shorter side is reduced.
        in_channels: Channels of the images: 1 for grey, 3 for RGB, or what the files hold.
        value_range: Values of the files that become 0 and 255, as in ``(0, 4095)`` for 12 bits in 16; ``"percentiles"``
            measures the 0.1th and 99.9th of the training images. By default the range of their type.
        exif: ``"ignore"`` if boxes and masks were drawn on the pixels as they are stored, whatever their orientation.
        augmentation: Random changes of training images: a preset and additions to it, such as ``"strong"`` or
            ``"trivial+erasing"``; arguments of Albumentations transforms by name, ``{"HorizontalFlip": {"p": 0.5}}``;
            a description (``albumentations.to_dict``); a pipeline of Albumentations or torchvision, or its import path.
        lists: Text files, relative to ``root``, with the images of each split, one per line, which replace its splits.
        fractions: Fractions of train, val and test, for splits that the data set does not have.
        split_seed: Seed of the random splits; they do not depend on the training seed.
        balanced: Whether images of rare classes are drawn as often as those of frequent ones in training.
        repeat_threshold: Fraction of the images below which a class is rare, whose images are repeated (LVIS), or None.
        on_error: ``"raise"`` stops at a file that cannot be read; ``"skip"`` leaves the file out and counts it.
        cache: Whether decoded images are kept in memory.
        proposals: Detection: a file of proposals for the batches, see :mod:`visiontasks.data.index.proposal_files`.
        batch_size: Images per training batch and process; by default 4 for ``detection`` and ``instances``, else 16.
        num_workers: Processes that prepare batches; by default one per core, 8 at most.
        **kwargs: Arguments of :class:`~visiontasks.data.vision_data.VisionData`.

    Raises:
        ArgumentError: If the data set does not support the task, or an argument is out of range.
        DataError: If the folder does not contain such a data set, or its annotations have errors (when first used).
    """

    tasks: ClassVar[tuple[TaskName, ...]]
    resizes = True
    multilabel = False  # whether an image may have several classes in classification
    background = False  # whether in segmentation a pixel may be of no object
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
        image_size: ImageSize | None = None,
        scale: float = 1.0,
        crop_scale: tuple[float, float] = (0.5, 2.0),
        shorter: int = SIDES[0],
        longer: int = SIDES[1],
        in_channels: int = 3,
        value_range: ValueRange = None,
        exif: Literal["apply", "ignore"] = "apply",
        augmentation: str | dict[str, Any] | Augmentation | Callable[..., Any] = "default",
        lists: Mapping[str, str] | None = None,
        fractions: tuple[float, float, float] = FRACTIONS,
        split_seed: int = 0,
        balanced: bool = False,
        repeat_threshold: float | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        cache: bool = False,
        proposals: str | None = None,
        batch_size: int | None = None,
        num_workers: int | None = None,
        **kwargs: Any,  # noqa: ANN401 (the arguments of VisionData)
    ) -> None:
        kwargs["num_workers"] = usable_cores(8) if num_workers is None else num_workers
        if task not in self.tasks:
            message = f"task is {task!r}, which {type(self).__name__} has no data for. {near_matches(task, self.tasks)}"
            raise ArgumentError(message)
        super().__init__(batch_size=FILE_TASKS[task].batch_size if batch_size is None else batch_size, **kwargs)
        self.root, self.task, self.in_channels = Path(root), task, in_channels
        check_choice("exif", exif, ("apply", "ignore"))
        self.value_range, self.exif, self.shorter, self.longer = check_value_range(value_range), exif, shorter, longer
        self.size, self.sized = chosen_size(task, image_size, shorter, longer)
        self.scale, self.crop_scale = checked_scale(task, scale), crop_scale
        self.augmentation, self.balanced, self.repeat_threshold = augmentation, balanced, repeat_threshold
        self.proposals, self.on_error, self.cache = checked_proposals(task, proposals), on_error, cache
        self._measured: Statistics | None = None
        own: Any = {"class_names": None if class_names is None else tuple(class_names), "select": self.select}
        self._splits = Splits(self._find, lists=lists, root=self.root, fractions=fractions, seed=split_seed, **own)

    @abstractmethod
    def find_source(self, split: str, class_names: tuple[str, ...] | None) -> AnnotationSource | None:
        """Find the annotations of a split.

        Args:
            split: ``"train"``, ``"val"`` or ``"test"``.
            class_names: Classes in the order of the labels; None takes those of the annotations.

        Returns:
            The source to parse; None for a split that the data set does not have.

        Raises:
            LayoutError: If nothing is found for training; there may be another split.
        """

    def select(self, index: ImageIndex) -> ImageIndex:
        """Select the images of a split to use; by default all."""
        return index

    @cached_property
    def splits(self) -> Splits:
        """The annotations of each split; missing files are downloaded first if ``download`` is set."""
        self.prepare_data()
        return self._splits

    @cached_property
    def transform(self) -> Augmentation:
        """The random changes of training images."""
        return Augmentation.create(self.task, self.augmentation)

    @property
    def yields(self) -> str:
        """What the batches hold."""
        return "multilabel classification" if self.task == "classification" and self.multilabel else self.task

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the labels; in segmentation, of the values that a pixel can have."""
        return (self.trained and self.trained.class_names) or self.pixel_classes(self.splits.class_names)

    def values_of_masks(self) -> MaskValues | None:
        """Return the values of the classes in mask files; None for other annotations, or if the data do not tell."""
        return None

    def pixel_classes(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the class names if those of the objects are given."""
        return ("background", *names) if self.background and self.task == "segmentation" else names

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of the images in a batch; None when it varies, as in segmentation's evaluation."""
        return resizing.size if isinstance(resizing := self._evaluation[0], Stretch) else None

    @cached_property
    def reading(self) -> Reading:
        """How image files are read; the range of their values is measured if that is asked for."""
        values = resolve_value_range(self.value_range, lambda: self.splits["train"].index)
        return read_as_trained(Reading(self.in_channels, values, self.exif == "apply"), self.trained)

    @property
    def view(self) -> dict[str, Any]:
        """How images are brought to the network in evaluation."""
        return EvaluationView(*self._evaluation, self.reading.value_range, self.reading.exif).describe()

    def match(self, trained: Trained, split: ScoredSplit | None = None) -> None:
        """Take over what a checkpoint knows; without splits, all images are scored unless it was trained on them."""
        match_files(self, trained, split)
        super().match(trained)

    @property
    def scores_training(self) -> bool:
        """Whether images of the training split are among those that validation or test sees, or there are none."""
        return self.trained is not None and self.splits.scores_training

    def describe_scored(self, split: str) -> str:
        """Name the images that validation or test sees."""
        return self.splits.describe(split)

    def setup(self, stage: str) -> None:
        """Read the annotations of the splits that a stage needs."""
        if stage == "fit" and not hasattr(self, "train_set"):
            self.train_set = self.dataset("train", training=True)
        if stage in ("fit", "validate") and not hasattr(self, "val_set"):
            self.val_set = self.dataset("val")
        if stage in ("test", "predict") and not hasattr(self, "test_set"):
            if self.splits.origin("test") == "val" and self.trained is None:
                inform("The data set has no test split; the validation split stands in for it.")
            self.test_set = self.dataset("test")

    def dataset(self, split: str, *, training: bool = False, cache: bool | None = None) -> FileDataset[Any]:
        """Create the data set of a split.

        Args:
            split: ``"train"``, ``"val"`` or ``"test"``.
            training: Whether images are augmented and cropped at random.
            cache: Whether to keep decoded images in memory; None as the data module has it.
        """
        index = self.splits[split].index  # which may tell what the values of masks are
        preparation = preparation_of(self.yields, self.size)
        kind, options = preparation.dataset, dict[str, Any]()
        if kind is SegmentationDataset:
            options = {"classes": self.num_classes, "ignore_index": self.ignore_index, "mask_values": self.mask_values}
        elif kind is DetectionDataset and self.proposals is not None:
            kind, options = ProposalDataset, {"proposals": ProposalFile(self.proposals)}
        dataset = kind(
            index,
            reading=self.reading,
            resizing=preparation.training(self._sizes) if training else self._evaluation[0],
            augmentation=self.transform if training else None,
            seed=self.seed,
            on_error="raise" if self.on_error == "raise" else "replace" if training else "skip",
            cache=self.cache if cache is None else cache,
            multiple=preparation.multiple if training else self._evaluation[1],
            **options,
        )
        return fit_crops(dataset, given=self.sized, scale=self.scale) if training else dataset

    def plain_train_set(self) -> FileDataset[Any]:
        """Return the training split without augmentation and random crops; it shares the decoded images of training."""
        (plain := self.dataset("train", cache=False)).cache = self.train_set.cache
        return plain

    def train_sampler(self) -> TrainingSampler:
        """Create the training sampler: batches of similar shapes if shapes vary, and what is asked for rare classes."""
        drawn = drawing(self.train_set, self.splits["train"].index, self.balanced, self.repeat_threshold)
        return TrainingSampler(self.train_set, self.batch_size, self.seed, self.drop_last, **drawn)

    def statistics(self) -> Statistics:
        """Measure the pixel statistics of the training split without augmentation, once per data set and size."""
        if self._measured is None:
            resizing, skip = Stretch(self.image_size) if self.image_size else Whole(), self.on_error == "skip"
            index = self.splits["train"].index
            self._measured = load_statistics(index, self.reading, resizing, self.num_workers, skip=skip)
        return self._measured

    def class_counts(self) -> ClassCounts:
        """Count the training images with each annotated class; with one class per image, that of its first object."""
        return count_classes(self.splits["train"].index, of_first=self.yields == "classification")

    def median_frequency_weights(self) -> Float32[Tensor, " classes"]:
        """Measure the weights that balance the classes of the training masks; called after ``setup("fit")``."""
        return median_frequency_weights(self.train_set)

    def _find(self, split: str, class_names: tuple[str, ...] | None) -> AnnotationSource | None:
        check_root(self.root)
        return self.find_source(split, class_names)

    @property
    def _evaluation(self) -> tuple[Resizing, int]:
        """How images are brought to size in evaluation, and the multiple of which the sides of a batch are."""
        sizes = evaluation_of(self.task, self.size, self._sizes, self.eval_size)
        return sizes if self.sized or self.eval_size else sizes_as_trained(sizes, self.trained)

    @property
    def _sizes(self) -> Sizes:
        preset = self.augmentation if isinstance(self.augmentation, str) else "default"
        return Sizes(self.size or (0, 0), self.shorter, self.longer, self.crop_scale, self.scale, preset)
