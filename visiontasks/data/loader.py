"""A loader of whole batches whose position within an epoch is saved in checkpoints."""

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
        """Make the batch tuple of a task from the requested samples."""


class BatchLoader(DataLoader[Any]):
    """Loads the batches that a sampler requests.

    The order depends on seed and epoch, and augmentation on seed, epoch and index, so that only the number of batches
    consumed by training needs to be saved; batches that workers have prepared beyond it are not counted and are
    prepared again. Lightning stores the ``state_dict`` of a training loader in every checkpoint; the data module, whose
    state is loaded early enough, restores it.

    Args:
        dataset: Makes a batch from a request.
        sampler: Yields requests.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        batch_sampler: Not used; Lightning passes it when it recreates the loader for prediction.
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
            dataset,  # type: ignore[arg-type]  # the protocol defines what is needed of a Dataset
            batch_size=None,
            sampler=sampler,
            num_workers=num_workers,
            collate_fn=hand_over,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=num_workers > 0,
        )
        self._taken = 0
        self._resumed = (-1, 0)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch returns its own class
        """Yield the batches of an epoch, or the rest of the epoch that was resumed.

        Workers start at the first batch, not before: Lightning sets the epoch after calling ``iter``.

        Raises:
            ArgumentError: If a worker dies, or there is too little shared memory for its batches.
            VisiontasksError: If the data set raises it, also in a worker.
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
            # torch replaces a worker's error by one whose text is the traceback, which ends with the original message.
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
        """Return the epoch and the number of batches consumed in it."""
        return {"epoch": self.sampler.epoch, "batches": self._taken}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continue after the batches that were consumed, if the next epoch is that of the state."""
        self._resumed = (state_dict["epoch"], state_dict["batches"])
