"""A loader of whole batches whose position within an epoch is saved with a checkpoint."""

from collections.abc import Iterator, Sized
from typing import Any, Protocol, runtime_checkable

import torch
from torch.utils.data import DataLoader

from visiontasks.data.samplers import BatchRequest, EvaluationSampler, TrainingSampler
from visiontasks.data.sharing import hand_over, remedy
from visiontasks.errors import ArgumentError, VisiontasksError


@runtime_checkable
class BatchDataset(Sized, Protocol):
    """A data set that makes whole batches."""

    def __getitem__(self, request: BatchRequest, /) -> Any:  # noqa: ANN401 (the batch tuple of a task)
        """Make the batch tuple of a task from the samples asked for."""


class BatchLoader(DataLoader[Any]):
    """Loads the batches that a sampler asks for.

    The order depends on seed and epoch, augmentation on seed, epoch and index, so that the number of batches that
    training has taken is all there is to save; batches that workers have prepared beyond it are not counted, and are
    prepared again. Lightning stores ``state_dict`` of a training loader in every checkpoint; the data module, which it
    asks early enough, gives it back.

    Args:
        dataset: Makes a batch of a request.
        sampler: Yields requests.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        batch_sampler: Not used; Lightning gives it when it makes the loader again, to predict.
        shuffle: Not used, likewise.
    """

    sampler: TrainingSampler | EvaluationSampler

    def __init__(
        self,
        dataset: BatchDataset,
        sampler: TrainingSampler | EvaluationSampler,
        num_workers: int = 0,
        batch_sampler: None = None,
        shuffle: bool | None = None,
    ) -> None:
        super().__init__(
            dataset,  # type: ignore[arg-type]  # the protocol says what is needed of a Dataset
            batch_size=None,
            sampler=sampler,
            num_workers=num_workers,
            collate_fn=hand_over,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=num_workers > 0,
        )
        self._taken = 0
        self._resumed = (-1, 0)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch returns a class of its own
        """Yield the batches of an epoch, or what is left of the one that was resumed.

        Workers start at the first batch, not before: Lightning sets the epoch between ``iter`` and that.

        Raises:
            ArgumentError: If a worker dies, or there is too little shared memory for its batches.
            VisiontasksError: What the data set raises, also in a worker.
        """
        epoch, taken = self._resumed
        self._taken = taken if self.sampler.epoch == epoch else 0
        self._resumed = (-1, 0)
        self.sampler.start = self._taken
        try:
            for batch in super().__iter__():
                self._taken += 1
                yield batch
        except VisiontasksError as error:
            # Of a worker's error torch makes one whose text is the traceback, which ends in what the error says.
            kind = type(error)
            _, found, message = str(error).rpartition(f"\n{kind.__module__}.{kind.__qualname__}: ")
            if not found:
                raise
            raise kind(message.rstrip()) from error
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            message = f"A worker process ended ({error}), as it does for want of memory or of shared memory. {remedy()}"
            raise ArgumentError(message) from error
        self.sampler.start = 0

    def state_dict(self) -> dict[str, int]:
        """Return epoch and number of batches taken in it."""
        return {"epoch": self.sampler.epoch, "batches": self._taken}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on behind the batches that were taken, if the next epoch is the one of the state."""
        self._resumed = (state_dict["epoch"], state_dict["batches"])
