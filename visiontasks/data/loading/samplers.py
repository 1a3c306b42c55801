"""Samplers of whole batches, which are the same for any number of processes."""

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import distributed
from torch.utils.data import DistributedSampler, SequentialSampler

from visiontasks.data.loading.ordering import arrange_by_group, cut, earlier_draws
from visiontasks.errors import ArgumentError

BATCH_PIXELS = 2**25
"""Maximum number of pixels of a batch in evaluation, padding included: 100 MB in colours; 16 images of 1448 x 1448."""


class BatchRequest(NamedTuple):
    """A request for a batch of some samples of a data set.

    Attributes:
        indices: Positions in the data set.
        epoch: Number of passes over the data set before this one; it seeds augmentation.
        drawn: How often each was drawn before in this epoch, so that it is augmented anew; empty for never.
    """

    indices: list[int]
    epoch: int
    drawn: Sequence[int] = ()


def request_of(index: int, count: int) -> BatchRequest:
    """Request one sample by its position, to be augmented anew at each call, by torch's random state.

    Args:
        index: Its position; a negative one counts from the end.
        count: Number of samples.

    Raises:
        IndexError: If there is no such sample.
    """
    return BatchRequest([range(count)[index]], int(torch.randint(2**31, ())))


class TrainingSampler(DistributedSampler[BatchRequest]):
    """Shuffled batches; every process gets the same number of batches of the same size.

    The order depends on seed and epoch only. Each pass of a loader goes on to the next epoch, until ``set_epoch`` is
    called: from then on the epoch is the one that was set.

    Each ``num_replicas * batch_size`` consecutive samples form one step, of which each process takes its part, so that
    two processes with batch size 2 see the same samples in a step as one process with batch size 4.

    Attributes:
        start: Number of batches that the next iteration skips, for training that resumes within an epoch.

    Args:
        dataset: The data set to sample; only its length matters.
        batch_size: Samples per batch and process.
        seed: Seed of the order.
        drop_last: Whether samples that do not fill a step are left out. Otherwise the last batch is smaller; if it has
            a single sample per process, on which batch norm cannot train, it is left out as well.
        num_replicas: Number of processes; by default that of the running process group.
        rank: Rank of this process.
        groups: Group of each sample; the samples of a step are of one group, except in the last steps.
        weights: How often each sample is drawn, relative to the others; an epoch then draws as many samples as there
            are, with replacement. By default every sample is drawn once.
        repeats: How many times each sample is drawn in an epoch on average, in place of weights: 1.25 for twice in
            every fourth epoch and once in the others. An epoch has as many samples as their sum.

    Raises:
        ArgumentError: If the batch size is not positive, there are fewer samples than processes, groups, weights or
            repeats do not fit the samples, or both of the latter are given.
    """

    def __init__(
        self,
        dataset: Sized,
        batch_size: int,
        seed: int = 0,
        drop_last: bool = False,
        num_replicas: int | None = None,
        rank: int | None = None,
        groups: Int64[np.ndarray, " samples"] | None = None,
        weights: Float64[np.ndarray, " samples"] | None = None,
        repeats: Float64[np.ndarray, " samples"] | None = None,
    ) -> None:
        _check(dataset, batch_size)
        if weights is not None and repeats is not None:
            message = "Both weights and repeats are given; expected one, as both say how often samples are drawn."
            raise ArgumentError(message)
        for name, values in (("groups", groups), ("weights", weights), ("repeats", repeats)):
            if values is not None and (
                len(values) != len(dataset) or values.min() < 0 or not np.isfinite(values).all()
            ):
                message = f"{name} has {len(values)} values for {len(dataset)} samples; expected one each, at least 0."
                raise ArgumentError(message)
        replicas, rank = _place(num_replicas, rank)
        super().__init__(dataset, replicas, rank, shuffle=True, seed=seed)  # type: ignore[arg-type]  # length only
        self.samples = len(dataset) if repeats is None else round(repeats.sum())
        self.batch_size = batch_size
        self.repeats = None if repeats is None else torch.from_numpy(repeats)
        self.groups = None if groups is None else torch.from_numpy(groups)
        self.weights = None if weights is None else torch.from_numpy(weights)
        self.start = 0
        self._set = self._passed = False
        step = batch_size * self.num_replicas
        rest = self.samples % step
        # The remaining samples of an epoch form a step if every process gets an equal number of them.
        share = rest // self.num_replicas
        keep_rest = not drop_last and share > 0 and (share > 1 or batch_size == 1 or self.samples < step)
        self.batches = self.samples // step + keep_rest
        self.last_size = share if keep_rest else batch_size
        self.seen = self.samples - rest + keep_rest * share * self.num_replicas
        if self.batches == 0:
            message = (
                f"{self.samples} samples make no batch of {batch_size} on {self.num_replicas} processes: use a smaller "
                "batch_size, fewer processes, or drop_last=False."
            )
            raise ArgumentError(message)

    def __len__(self) -> int:
        """Count the batches of this process."""
        return self.batches

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of all passes from now on, until it is set again."""
        super().set_epoch(epoch)
        self._set = True

    def begin_pass(self, resumed: tuple[int, int] | None = None) -> None:
        """Go on to the next epoch if there has been a pass in this one, unless the epoch is set by ``set_epoch``.

        Args:
            resumed: Epoch, and batches taken of it, after which training goes on.
        """
        if self._set:
            return
        if resumed is not None:
            self.epoch, self._passed = resumed[0], resumed[1] >= self.batches
        self.epoch += self._passed
        self._passed = True

    def follow(self, earlier: "TrainingSampler") -> None:
        """Count the passes of an earlier sampler of the same data, unless its epoch was set by ``set_epoch``."""
        if not earlier._set:
            self.epoch, self._passed = earlier.epoch, earlier._passed

    def __iter__(self) -> Iterator[BatchRequest]:
        """Yield the batches of this process in the present epoch, from ``start`` on."""
        order = self._order()
        drawn = earlier_draws(order) if self.weights is not None or self.repeats is not None else order[:0]
        for batch in range(self.start, self.batches):
            size = self.last_size if batch == self.batches - 1 else self.batch_size
            start = batch * self.batch_size * self.num_replicas + self.rank * size
            own = slice(start, start + size)
            yield BatchRequest(order[own].tolist(), self.epoch, drawn[own].tolist())

    def _order(self) -> Int64[torch.Tensor, " samples"]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        if self.weights is None:
            order = torch.randperm(self.samples, generator=generator)
        else:
            # By inversion of the cumulative weights, since torch.multinomial takes at most 2**24 samples.
            sums = self.weights.cumsum(0)
            drawn = torch.rand(self.samples, generator=generator, dtype=torch.float64) * sums[-1]
            order = torch.searchsorted(sums, drawn, right=True).clamp(max=self.samples - 1)
        if self.repeats is not None:
            # Equidistant points in the cumulative repeats round each number of repeats up or down.
            sums = self.repeats.cumsum(0)
            start = torch.rand((), generator=generator, dtype=torch.float64)
            points = (torch.arange(self.samples, dtype=torch.float64) + start) * (sums[-1] / self.samples)
            order = torch.searchsorted(sums, points, right=True).clamp(max=len(sums) - 1)[order]
        if self.groups is None:
            return order
        return arrange_by_group(order, self.groups, self.batch_size * self.num_replicas, generator)


# Lightning's overfit_batches keeps samplers whose type is sequential.
class EvaluationSampler(DistributedSampler[BatchRequest], SequentialSampler):
    """Every sample exactly once, in order, for any number of processes.

    The batches are formed once over the whole data set; process r takes batches r, r + R, ... A process that runs out
    of batches gets one empty batch, so that all processes run the same number of steps.

    Attributes:
        start: Number of batches that the next iteration skips.

    Args:
        dataset: The data set to sample; its length matters, and the sizes of its images if they differ, which a method
            ``batch_sizes`` returns.
        batch_size: Maximum number of samples per batch. If sizes differ, a batch has fewer rather than more than
            :data:`BATCH_PIXELS`, padding included, but at least one.
        num_replicas: Number of processes R; by default that of the running process group.
        rank: Rank of this process.

    Raises:
        ArgumentError: If the batch size is not positive.

    Example:
        >>> list(EvaluationSampler(range(5), batch_size=2, num_replicas=2, rank=1))
        [BatchRequest(indices=[2, 3], epoch=0, drawn=()), BatchRequest(indices=[], epoch=0, drawn=())]
    """

    def __init__(
        self, dataset: Sized, batch_size: int, num_replicas: int | None = None, rank: int | None = None
    ) -> None:
        _check(dataset, batch_size)
        replicas, rank = _place(num_replicas, rank)
        super().__init__(dataset, replicas, rank, shuffle=False)  # type: ignore[arg-type]  # length only
        self.samples = len(dataset)
        self.batch_size = batch_size
        self.start = 0
        of = getattr(dataset, "batch_sizes", None)
        self._batches = cut(self.samples, batch_size, of and of(), BATCH_PIXELS)
        self.batches = -(-len(self._batches) // self.num_replicas)

    def __len__(self) -> int:
        """Count the batches of this process, including an empty one."""
        return self.batches

    def begin_pass(self, resumed: tuple[int, int] | None = None) -> None:
        """Do nothing: all passes are alike."""

    def __iter__(self) -> Iterator[BatchRequest]:  # type: ignore[override]  # sequential, but of batches
        """Yield the batches of this process."""
        for step in range(self.start, self.batches):
            batch = step * self.num_replicas + self.rank
            yield BatchRequest([*self._batches[batch]] if batch < len(self._batches) else [], epoch=0)


class Selection:
    """A subset of a data set, evenly spread over it.

    Args:
        dataset: Makes a batch from a request.
        count: Number of images, at most that of the data set.

    Example:
        >>> class Echo(list):
        ...     def __getitem__(self, request):
        ...         return request.indices
        >>> Selection(Echo(range(9)), 3)[BatchRequest([0, 1, 2], epoch=0)]
        [0, 3, 6]
    """

    def __init__(self, dataset: Any, count: int) -> None:  # noqa: ANN401 (a BatchDataset, which imports from here)
        self.dataset = dataset
        self.count = count

    def __len__(self) -> int:
        """Count the images."""
        return self.count

    def batch_sizes(self) -> Int64[np.ndarray, "images 2"] | None:
        """Return the height and width of each image in a batch; None if all are of one size, or it is unknown."""
        of = getattr(self.dataset, "batch_sizes", None)
        sizes = of and of()
        return None if sizes is None else sizes[self._places(range(self.count))]

    def __getitem__(self, request: BatchRequest) -> Any:  # noqa: ANN401 (the batch tuple of a task)
        """Make a batch."""
        return self.dataset[BatchRequest(self._places(request.indices), request.epoch)]

    def _places(self, indices: Iterable[int]) -> list[int]:
        return [index * len(self.dataset) // self.count for index in indices]


def _place(num_replicas: int | None, rank: int | None) -> tuple[int, int]:
    running = distributed.is_available() and distributed.is_initialized()
    replicas = num_replicas or (distributed.get_world_size() if running else 1)
    return replicas, rank if rank is not None else (distributed.get_rank() if running else 0)


def _check(dataset: Sized, batch_size: int) -> None:
    if batch_size < 1:
        message = f"batch_size is {batch_size}; expected at least 1."
        raise ArgumentError(message)
    if len(dataset) == 0:
        message = "The data set is empty: no file of this split was found."
        raise ArgumentError(message)
