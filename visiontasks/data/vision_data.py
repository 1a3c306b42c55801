"""What every data module shares: splits, loaders, statistics; all but Lightning, which takes long to import."""

import os
from abc import ABC, abstractmethod
from copy import copy
from typing import Any

from torch.utils.data import DataLoader

from visiontasks.data.augmentation.evaluation_view import EvaluationView
from visiontasks.data.augmentation.resizing import Stretch
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.loading.loader import BatchDataset, BatchLoader
from visiontasks.data.loading.samplers import EvaluationSampler, Selection, TrainingSampler
from visiontasks.data.loading.workers import WORKER_TIMEOUT
from visiontasks.data.measuring.fingerprint import fingerprint
from visiontasks.data.messages import inform
from visiontasks.data.scoring import ScoredSplit, Trained, label_map, scored_in_memory
from visiontasks.description import ClassCounts, Statistics
from visiontasks.errors import ArgumentError
from visiontasks.sizes import ImageSize, height_and_width


class VisionData(ABC):
    """Training, validation and test splits of images for one task.

    A subclass sets ``train_set``, ``val_set`` and ``test_set`` in ``setup`` and describes the data by the properties
    below, which must be answered without reading images. Lightning trains on it as a
    :class:`~visiontasks.data.lightning_modules.VisionDataModule`.

    Args:
        batch_size: Images per training batch and process.
        eval_batch_size: Images per batch in validation, test and prediction, at most; by default ``batch_size``. Images
            that keep their size are fewer if they have more than 2**25 pixels, padding included, see
            :data:`~visiontasks.data.loading.samplers.BATCH_PIXELS`; the scores do not depend on it.
        eval_size: Height and width in pixels of images in validation, test and prediction, or one number, if not those
            of the training (Touvron et al., Fixing the train-test resolution discrepancy, NeurIPS 2019); for
            classification and localization of images in files.
        drop_last: Whether training leaves out the last images of an epoch if they do not fill a batch.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        worker_timeout: Seconds to wait for a batch before a worker counts as hanging, which is an error; 0 waits for
            ever. Without workers there is no time-out.
        seed: Seed of the training order and of augmentation; by default the seed of ``seed_everything``, or 0.
    """

    trainer: Any = None
    resizes = False
    """Whether images are brought to the size that is asked for."""
    train_set: BatchDataset
    val_set: BatchDataset
    test_set: BatchDataset

    def __init__(
        self,
        *,
        batch_size: int = 64,
        eval_batch_size: int | None = None,
        eval_size: ImageSize | None = None,
        drop_last: bool = False,
        num_workers: int = 0,
        worker_timeout: float = WORKER_TIMEOUT,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1 or (eval_batch_size is not None and eval_batch_size < 1) or num_workers < 0:
            message = (
                f"batch_size is {batch_size}, eval_batch_size {eval_batch_size}, num_workers {num_workers}; expected "
                "sizes of at least 1 and at least 0 workers."
            )
            raise ArgumentError(message)
        self.batch_size = batch_size
        self._eval_batch_size = eval_batch_size
        if eval_size is not None and not self.resizes:
            message = f"eval_size is {eval_size}, but {type(self).__name__} does not resize its images. Leave it out."
            raise ArgumentError(message)
        self.eval_size = None if eval_size is None else height_and_width("eval_size", eval_size)
        self.drop_last = drop_last
        if not worker_timeout >= 0:
            message = f"worker_timeout is {worker_timeout}; expected seconds, or 0 to wait for ever."
            raise ArgumentError(message)
        self.num_workers = num_workers
        self.worker_timeout = worker_timeout
        # seed_everything stores its seed there for the processes that the Trainer starts.
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", "0")) if seed is None else seed
        self.trained: Trained | None = None
        self._scored: dict[str, ScoredSplit] = {}
        self._train_loader: BatchLoader | None = None
        self._resumed: dict[str, int] | None = None

    @property
    def eval_batch_size(self) -> int:
        """Images per batch in validation, test and prediction."""
        return self._eval_batch_size or self.batch_size

    @property
    def yields(self) -> str:
        """Kind of batches, by which a task checks whether it can use them."""
        return "classification"

    @property
    def num_classes(self) -> int:
        """Number of classes; in segmentation, of the values that a pixel can have."""
        return len(self.class_names)

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the labels."""

    @property
    @abstractmethod
    def in_channels(self) -> int:
        """Number of channels of the images."""

    @property
    @abstractmethod
    def image_size(self) -> tuple[int, int] | None:
        """Height and width in pixels of the images in a batch; None when it varies."""

    @property
    def view(self) -> dict[str, Any] | None:
        """How images are brought to the network in evaluation, see :class:`EvaluationView`; None if it is unknown.

        By default they are stretched to ``image_size``, if there is one.
        """
        return None if self.image_size is None else EvaluationView(Stretch(self.image_size)).describe()

    def prepare_data(self) -> None:  # noqa: B027 (there may be nothing to prepare)
        """Download missing files, if that is asked for; called by one process before ``setup`` is by each."""

    @abstractmethod
    def setup(self, stage: str) -> None:
        """Create the splits that a stage needs: ``"fit"``, ``"validate"``, ``"test"`` or ``"predict"``."""

    def statistics(self) -> Statistics:
        """Measure the pixel statistics of the training split, which some modes of normalisation need; after ``setup``.

        Raises:
            ArgumentError: If this data module cannot measure them.
        """
        train_set = getattr(self, "train_set", None)
        if isinstance(train_set, MemoryDataset):
            return train_set.statistics()
        message = (
            f"{type(self).__name__} does not measure its pixels, as the normalization 'dataset' and the mean ones need "
            "it: override statistics, or use 'imagenet', 'unit' or 'local_contrast'."
        )
        raise ArgumentError(message)

    def class_counts(self) -> ClassCounts:
        """Count the training images that contain each class; called after ``setup``.

        Raises:
            ArgumentError: If this data module cannot count them.
        """
        if isinstance(self.train_set, MemoryDataset):
            return self.train_set.class_counts(self.num_classes)
        message = (
            f"{type(self).__name__} does not count its classes, as class_weights 'balanced' needs it: override "
            "class_counts, or give the weights as numbers."
        )
        raise ArgumentError(message)

    def fingerprint(self) -> dict[str, str]:
        """Compute a digest of each split that was set up; any change of a file, order, label or box changes it."""
        sets = {name: getattr(self, f"{name}_set", None) for name in ("train", "val", "test")}
        return {name: fingerprint(dataset) for name, dataset in sets.items() if dataset is not None}

    def train_dataloader(self) -> DataLoader[Any]:
        """Load shuffled training batches; each pass over them, also by another loader, is the next epoch.

        That is, unless ``loader.sampler.set_epoch`` is called, as Lightning does before each epoch.
        """
        if getattr(self.trainer, "overfit_batches", 0):
            # Lightning's flag for the same batches in every epoch.
            return self._loader(self.train_set, EvaluationSampler(self.train_set, self.batch_size))
        sampler = self.train_sampler()
        left_out = sampler.samples - sampler.seen
        earlier = self._train_loader and self._train_loader.sampler
        if isinstance(earlier, TrainingSampler):
            sampler.follow(earlier)
        elif left_out:
            inform(f"{left_out} of {sampler.samples} training images are left out of each epoch (others each time).")
        self._train_loader = self._loader(self.train_set, sampler)
        if self._resumed is not None:
            self._train_loader.load_state_dict(self._resumed)
            self._resumed = None
        return self._train_loader

    def train_sampler(self) -> TrainingSampler:
        """Create the sampler that draws the training batches of this process."""
        return TrainingSampler(self.train_set, self.batch_size, self.seed, self.drop_last)

    def state_dict(self) -> dict[str, int]:
        """Return the position of training within its epoch, for the checkpoint."""
        return {} if self._train_loader is None else self._train_loader.state_dict()

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Let the next training loader continue where the checkpoint was saved.

        Lightning restores the state of a loader only if the loader has not been created before, but a schedule that
        asks for the number of steps creates it. Lightning also calls this method when a checkpoint is only evaluated;
        the state is then ignored.
        """
        scored = self.trainer is not None and self.trainer.state.fn != "fit"
        self._resumed = None if scored else state_dict or None

    def match(self, trained: Trained, split: ScoredSplit | None = None) -> None:
        """Take over what a checkpoint knows, to score it on these data; called before anything is read.

        Classes are matched by name: the data may have some of those of the checkpoint, in any order. Data in files also
        take over the sizes, the channels and the evaluation view, where they were not given themselves.

        Args:
            trained: What the checkpoint knows.
            split: What validation and test see; by default each its own split.

        Raises:
            ArgumentError: If the data have a class that the checkpoint does not know.
        """
        self.trained = trained
        self._scored = {} if split is None else {"val": split, "test": split}

    def scored_set(self, split: str) -> BatchDataset:
        """Return the images that validation (``"val"``) or test sees."""
        instead = self._scored.get(split, split)
        if instead != split:
            self.setup("test" if instead == "test" else "fit")
        if instead == "all":
            self.setup("test")
        names: tuple[str, ...] = ("train", "val", "test") if instead == "all" else (instead,)
        sets = [self.plain_train_set() if name == "train" else getattr(self, f"{name}_set") for name in names]
        own = self.own_class_names
        labels = None if own is None else label_map(own, self.class_names)
        return sets[0] if labels is None and len(sets) == 1 else scored_in_memory(sets, labels)

    @property
    def own_class_names(self) -> tuple[str, ...] | None:
        """Names of the classes as the data sets in memory label them; None if those are the class names."""
        return None

    @property
    def scores_training(self) -> bool:
        """Whether images of the training split are among those that validation or test sees."""
        return any(split in ("train", "all") for split in self._scored.values())

    def describe_scored(self, split: str) -> str:
        """Name the images that validation or test sees."""
        instead = self._scored.get(split, split)
        return "all of them" if instead == "all" else f"those for {instead}"

    def val_dataloader(self) -> DataLoader[Any]:
        """Load validation batches, every image once on any number of processes."""
        return self._scored_loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """Load test batches, every image once on any number of processes."""
        return self._scored_loader("test")

    def _scored_loader(self, split: str) -> BatchLoader:
        dataset = self.scored_set(split)
        if self.trained is not None:
            of = f"{type(self).__name__} {str(getattr(self, 'root', ''))!r}".removesuffix(" ''")
            inform(f"Scored: {len(dataset)} images of {of}, {self.describe_scored(split)}.")
        return self._loader(dataset, EvaluationSampler(dataset, self.eval_batch_size))

    def unaugmented_dataloader(self, count: int | None = None) -> DataLoader[Any]:
        """Load training images as in validation: not augmented, every image once on any number of processes.

        Args:
            count: Number of images, evenly spread over the training split; None for all. There are none if they are
                scored, see :meth:`match`.
        """
        if self.scores_training:
            nothing: Any = []
            return DataLoader(nothing)
        if not hasattr(self, "train_set"):
            self.setup("fit")
        images: BatchDataset = self.plain_train_set()
        if count is not None and count < len(images):
            images = Selection(images, count)
        return self._loader(images, EvaluationSampler(images, self.eval_batch_size))

    def plain_train_set(self) -> BatchDataset:
        """Return the training split without augmentation."""
        plain = copy(self.train_set)
        if hasattr(plain, "augmentation"):
            plain.augmentation = None
        return plain

    def predict_dataloader(self) -> DataLoader[Any]:
        """Load the test batches for prediction."""
        return self.test_dataloader()

    def _loader(self, dataset: BatchDataset, sampler: TrainingSampler | EvaluationSampler) -> BatchLoader:
        # As keyword arguments, which is how Lightning passes them when it recreates the loader.
        return BatchLoader(dataset=dataset, sampler=sampler, num_workers=self.num_workers, timeout=self.worker_timeout)
