"""What every data module shares: splits, loaders, statistics."""

import os
from abc import ABC, abstractmethod
from copy import copy
from typing import IO, Any, Self, cast

from lightning.pytorch import LightningDataModule
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader

from visiontasks.data.augmentation.evaluation_view import EvaluationView
from visiontasks.data.augmentation.resizing import Stretch
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.loading.loader import BatchDataset, BatchLoader
from visiontasks.data.loading.samplers import EvaluationSampler, Selection, TrainingSampler
from visiontasks.data.loading.workers import WORKER_TIMEOUT
from visiontasks.data.measuring.fingerprint import fingerprint
from visiontasks.errors import ArgumentError
from visiontasks.serialization import Source, check_weights_only, load_file, open_source
from visiontasks.types import ClassCounts, Statistics


class VisionDataModule(LightningDataModule, ABC):
    """Training, validation and test splits of images for one task.

    A subclass sets ``train_set``, ``val_set`` and ``test_set`` in ``setup`` and describes the data by the properties
    below, which must be answered without reading images.

    Args:
        batch_size: Images per training batch and process.
        eval_batch_size: Images per batch in validation, test and prediction; by default ``batch_size``.
        drop_last: Whether training leaves out the last images of an epoch if they do not fill a batch.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        worker_timeout: Seconds to wait for a batch before a worker counts as hanging, which is an error; 0 waits for
            ever. Without workers there is no time-out.
        seed: Seed of the training order and of augmentation; by default the seed of ``seed_everything``, or 0.
    """

    train_set: BatchDataset
    val_set: BatchDataset
    test_set: BatchDataset

    def __init__(
        self,
        *,
        batch_size: int = 64,
        eval_batch_size: int | None = None,
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
        self.drop_last = drop_last
        if not worker_timeout >= 0:
            message = f"worker_timeout is {worker_timeout}; expected seconds, or 0 to wait for ever."
            raise ArgumentError(message)
        self.num_workers = num_workers
        self.worker_timeout = worker_timeout
        # seed_everything stores its seed there for the processes that the Trainer starts.
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", "0")) if seed is None else seed
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
        if self._train_loader is not None and isinstance(self._train_loader.sampler, TrainingSampler):
            sampler.follow(self._train_loader.sampler)
        elif left_out:
            rank_zero_info(
                f"{left_out} of {sampler.samples} training images are left out of each epoch (others each time)."
            )
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
        scored = self.trainer is not None and self.trainer.state.fn != TrainerFn.FITTING
        self._resumed = None if scored else state_dict or None

    def val_dataloader(self) -> DataLoader[Any]:
        """Load validation batches, every image once on any number of processes."""
        return self._loader(self.val_set, EvaluationSampler(self.val_set, self.eval_batch_size))

    def test_dataloader(self) -> DataLoader[Any]:
        """Load test batches, every image once on any number of processes."""
        return self._loader(self.test_set, EvaluationSampler(self.test_set, self.eval_batch_size))

    def unaugmented_dataloader(self, count: int | None = None) -> DataLoader[Any]:
        """Load training images as in validation: not augmented, every image once on any number of processes.

        Args:
            count: Number of images, evenly spread over the training split; None for all.
        """
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

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # narrower: no pickles, no hyperparameter files
        cls,
        checkpoint_path: Source,
        map_location: Any = "cpu",  # noqa: ANN401 (what torch.load takes)
        weights_only: bool | None = None,
        **kwargs: Any,  # noqa: ANN401 (the arguments of any subclass)
    ) -> Self:
        """Create the data module whose arguments a checkpoint holds, if it saves them by ``save_hyperparameters``.

        Args:
            checkpoint_path: A file, a remote address or a file object.
            map_location: Device of tensors among the arguments.
            weights_only: As in Lightning, but never false: that would let the file run code.
            **kwargs: Arguments that replace saved ones.

        Returns:
            The data module.

        Raises:
            ArgumentError: If ``weights_only`` is false.
            CheckpointError: If the file is missing, damaged, or holds objects other than tensors and plain values.
        """
        check_weights_only(weights_only)
        with open_source(checkpoint_path) as content:
            load_file(content)  # verified and refused with our message, before Lightning reads it
            content.seek(0)
            return super().load_from_checkpoint(
                cast(IO[bytes], content), map_location=map_location, weights_only=True, **kwargs
            )

    def _loader(self, dataset: BatchDataset, sampler: TrainingSampler | EvaluationSampler) -> BatchLoader:
        # As keyword arguments, which is how Lightning passes them when it recreates the loader.
        return BatchLoader(dataset=dataset, sampler=sampler, num_workers=self.num_workers, timeout=self.worker_timeout)
