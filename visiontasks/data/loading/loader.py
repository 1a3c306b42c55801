"""A loader of whole batches whose position within an epoch is saved in checkpoints."""

from collections.abc import Iterator, Sized
from typing import Any, Protocol, runtime_checkable

import torch
from torch.utils.data import DataLoader

from visiontasks.data.loading.samplers import BatchRequest, EvaluationSampler, TrainingSampler
from visiontasks.data.loading.sharing import hand_over
from visiontasks.data.loading.workers import (
    WORKER_TIMEOUT,
    death,
    end_with,
    outlive_a_stop,
    silence,
    translate_deaths,
)
from visiontasks.errors import VisiontasksError, WorkerError


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
        timeout: Seconds to wait for a batch of a worker; 0 for ever. Without workers there is no time-out.
        batch_sampler: Not used; Lightning passes it when it recreates the loader for prediction.
        shuffle: Given by Lightning only, likewise: whether batches can be asked for their indices.
    """

    sampler: TrainingSampler | EvaluationSampler

    def __init__(
        self,
        dataset: BatchDataset,
        sampler: TrainingSampler | EvaluationSampler,
        num_workers: int = 0,
        timeout: float = WORKER_TIMEOUT,
        batch_sampler: None = None,
        shuffle: bool | None = None,
    ) -> None:
        super().__init__(
            dataset,  # type: ignore[arg-type]  # the protocol defines what is needed of a Dataset
            batch_size=None,
            sampler=sampler,
            num_workers=num_workers,
            timeout=timeout if num_workers else 0,
            collate_fn=hand_over,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=num_workers > 0,
            worker_init_fn=outlive_a_stop,
        )
        self._taken = 0
        self._ended_with: object = None
        self._resumed: tuple[int, int] | None = None
        if shuffle is not None:
            # Where Lightning looks up the indices for the writers of predictions; torch forbids to set it.
            self.__dict__["batch_sampler"] = _known_indices(sampler)

    @property
    def _auto_collation(self) -> bool:
        """Whether torch puts batches together; they come whole, also with a ``batch_sampler``."""
        return False

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch returns its own class
        """Yield the batches of the next epoch, of the one that was set, or the rest of the one that was resumed.

        Workers start at the first batch, not before: Lightning sets the epoch after calling ``iter``.

        Raises:
            ArgumentError: If there is too little shared memory for the batches of the workers.
            WorkerError: If a worker dies, or does not answer in time. The death is raised as soon as the system reports
                it, whatever the main thread is doing.
            VisiontasksError: If the data set raises it, also in a worker.
        """
        resumed, self._resumed = self._resumed, None
        self.sampler.begin_pass(resumed)
        self._taken = resumed[1] if resumed is not None and resumed[0] == self.sampler.epoch else 0
        start = self.sampler.start = self._taken
        try:
            batches = super().__iter__()
            translate_deaths()
            if batches is not self._ended_with:
                self._ended_with = batches
                end_with(self, batches)
            for batch in batches:
                self._taken += 1
                yield batch
        except VisiontasksError as error:
            # torch replaces a worker's error by one whose text is the traceback, which ends with the original message.
            kind = type(error)
            _, separator, message = str(error).rpartition(f"\n{kind.__module__}.{kind.__qualname__}: ")
            if not separator:
                raise
            raise kind(message.rstrip()) from error
        except RuntimeError as error:
            if str(error).startswith("DataLoader timed out"):
                raise self._silence(self._taken - start) from error
            if str(error).startswith("DataLoader worker"):
                raise death(error) from error
            raise
        self.sampler.start = 0

    def state_dict(self) -> dict[str, int]:
        """Return the epoch and the number of batches consumed in it."""
        return {"epoch": self.sampler.epoch, "batches": self._taken}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continue after the batches that were consumed, unless another epoch is set before the next pass."""
        self._resumed = (state_dict["epoch"], state_dict["batches"])

    def _silence(self, batch: int) -> WorkerError:
        # Workers take turns, and torch returns their batches in order.
        worker = batch % self.num_workers
        processes = getattr(self._iterator, "_workers", [])
        self.sampler.start = self._taken
        request = next(iter(self.sampler))
        pid = processes[worker].pid if processes else None
        return silence(worker, self.num_workers, pid, request, getattr(self.dataset, "index", None), self.timeout)


def _known_indices(sampler: TrainingSampler | EvaluationSampler) -> object:
    """Return the indices of all batches, which Lightning otherwise collects while it predicts."""
    from lightning.pytorch.overrides.distributed import _IndexBatchSamplerWrapper

    class KnownIndices(_IndexBatchSamplerWrapper):
        def __init__(self) -> None:
            self.seen_batch_indices = [request.indices for request in sampler]

    return KnownIndices()
