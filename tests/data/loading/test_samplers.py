import pickle

import numpy as np
import pytest

from visiontasks.data.loading.samplers import BatchRequest, EvaluationSampler, TrainingSampler
from visiontasks.errors import ArgumentError

COUNTS = [1, 2, 3, 5, 7, 12, 13]


def epoch_of(sampler: TrainingSampler, epoch: int = 0) -> list[list[int]]:
    sampler.set_epoch(epoch)
    return [request.indices for request in sampler]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("batch_size", [1, 2, 3, 5])
@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_evaluation_sees_every_sample_once_in_the_same_batches(count: int, batch_size: int, replicas: int) -> None:
    samplers = [EvaluationSampler(range(count), batch_size, replicas, rank) for rank in range(replicas)]
    batches = [[request.indices for request in sampler] for sampler in samplers]
    assert {len(found) for found in batches} == {len(samplers[0])}
    # One process forms the same batches, and each process gets its first one first.
    dealt = [indices for step in zip(*batches, strict=True) for indices in step if indices]
    assert dealt == [list(range(start, min(start + batch_size, count))) for start in range(0, count, batch_size)]
    assert all(indices for found in batches for indices in found[:-1])


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("batch_size", [1, 2, 3, 5])
@pytest.mark.parametrize("replicas", [1, 2, 3])
@pytest.mark.parametrize("drop_last", [False, True])
def test_training_gives_every_process_batches_of_the_same_size(
    count: int, batch_size: int, replicas: int, drop_last: bool
) -> None:
    try:
        samplers = [TrainingSampler(range(count), batch_size, 7, drop_last, replicas, rank) for rank in range(replicas)]
    except ArgumentError:
        assert count < replicas or (drop_last and count < batch_size * replicas)
        return
    batches = [epoch_of(sampler) for sampler in samplers]
    sizes = [[len(indices) for indices in found] for found in batches]
    assert all(size == sizes[0] for size in sizes)
    assert len(sizes[0]) == len(samplers[0])
    assert set(sizes[0][:-1]) <= {batch_size}
    seen = [index for found in batches for indices in found for index in indices]
    assert len(seen) == len(set(seen)) == samplers[0].seen
    assert set(seen) <= set(range(count))
    whole, rest = divmod(count, batch_size * replicas)
    if drop_last:
        assert sizes[0] == [batch_size] * whole
    elif rest // replicas > 1:
        assert len(seen) == count - rest % replicas
    elif rest // replicas == 1 and batch_size > 1 and whole:
        # A single sample is no batch for batch norm.
        assert sizes[0] == [batch_size] * whole


def test_two_processes_see_in_a_step_what_one_sees_with_a_double_batch() -> None:
    one = epoch_of(TrainingSampler(range(16), batch_size=4, seed=3, num_replicas=1, rank=0), epoch=5)
    two = [epoch_of(TrainingSampler(range(16), 2, 3, num_replicas=2, rank=rank), epoch=5) for rank in range(2)]
    assert [first + second for first, second in zip(*two, strict=True)] == one


def test_the_order_depends_on_seed_and_epoch() -> None:
    orders = {
        (seed, epoch): str(epoch_of(TrainingSampler(range(20), 4, seed), epoch))
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(set(orders.values())) == 9
    again = {key: str(epoch_of(TrainingSampler(range(20), 4, key[0]), key[1])) for key in orders}
    assert again == orders


def test_every_sample_is_equally_likely_to_come_first() -> None:
    sampler = TrainingSampler(range(4), batch_size=1, seed=0)
    first = [epoch_of(sampler, epoch)[0][0] for epoch in range(400)]
    assert all(60 < first.count(index) < 140 for index in range(4))


def test_requests_carry_the_epoch() -> None:
    sampler = TrainingSampler(range(4), batch_size=2)
    sampler.set_epoch(9)
    assert [request.epoch for request in sampler] == [9, 9]
    assert all(type(request) is BatchRequest for request in pickle.loads(pickle.dumps(list(sampler))))


@pytest.mark.parametrize("kind", [TrainingSampler, EvaluationSampler])
def test_what_cannot_be_sampled_is_an_error(kind: type[TrainingSampler | EvaluationSampler]) -> None:
    with pytest.raises(ArgumentError, match="batch_size is 0; expected at least 1"):
        kind(range(3), batch_size=0)
    with pytest.raises(ArgumentError, match="The data set is empty"):
        kind(range(0), batch_size=1)


def test_too_few_samples_for_a_step_are_an_error() -> None:
    with pytest.raises(ArgumentError, match="3 samples make no batch of 4 on 1 processes: use a smaller batch_size"):
        TrainingSampler(range(3), batch_size=4, drop_last=True)
    with pytest.raises(ArgumentError, match="1 samples make no batch of 1 on 2 processes"):
        TrainingSampler(range(1), batch_size=1, num_replicas=2, rank=1)


def drawn(repeats: list[float], epoch: int, batch_size: int = 2, replicas: int = 1) -> list[int]:
    """List what all processes draw in an epoch, step by step."""
    values = np.array(repeats)
    samplers = [
        TrainingSampler(repeats, batch_size, 4, False, replicas, rank, repeats=values) for rank in range(replicas)
    ]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    steps = zip(*samplers, strict=True)
    return [index for step in steps for request in step for index in request.indices]


def test_samples_are_repeated_by_their_factors() -> None:
    repeats, epochs = [1.0, 1.25, 2.5, 1.0, 3.25, 1.0], 200
    counts = np.array([np.bincount(drawn(repeats, epoch), minlength=6) for epoch in range(epochs)])
    assert (counts.sum(1) == 10).all()  # each epoch has the sum of the repeats
    assert (counts >= np.floor(repeats)).all()
    assert (counts <= np.ceil(repeats)).all()
    assert counts.mean(0).tolist() == pytest.approx(repeats, abs=0.12)
    assert len({tuple(drawn(repeats, epoch)) for epoch in range(epochs)}) == epochs


def test_two_processes_draw_the_same_repeats_as_one_and_a_resumed_epoch_goes_on() -> None:
    repeats = [1.0, 1.5, 2.5, 1.0, 3.0, 3.0]
    for epoch in range(5):
        assert drawn(repeats, epoch, 2, 2) == drawn(repeats, epoch, 4, 1)
        assert drawn(repeats, epoch, 2, 3) == drawn(repeats, epoch, 6, 1)
    sampler = TrainingSampler(repeats, 2, 4, repeats=np.array(repeats))
    whole = list(sampler)
    sampler.start = 4
    assert list(sampler) == whole[4:]


def test_every_further_draw_of_a_sample_is_numbered_for_all_processes_together() -> None:
    for options in ({"repeats": np.array([1.0, 1.5, 2.5, 1.0, 3.0, 3.0])}, {"weights": np.arange(1.0, 7.0)}):
        samplers = [TrainingSampler(range(6), 1, 4, num_replicas=2, rank=rank, **options) for rank in range(2)]
        seen: list[int] = []
        for request in (request for step in zip(*samplers, strict=True) for request in step):
            assert list(request.drawn) == [seen.count(request.indices[0])]
            seen += request.indices
        assert len(set(seen)) < len(seen)
    assert {tuple(request.drawn) for request in TrainingSampler(range(6), 2)} == {()}


def test_repeats_of_one_leave_the_order_as_it_is() -> None:
    plain = TrainingSampler(range(12), 2, 4)
    assert [index for request in plain for index in request.indices] == drawn([1.0] * 12, 0)


def test_repeated_samples_are_grouped() -> None:
    groups, repeats = np.array([0, 0, 1, 1]), np.array([1.0, 3.0, 2.0, 2.0])
    sampler = TrainingSampler(range(4), 2, 0, groups=groups, repeats=repeats)
    assert all(len(set(groups[request.indices])) == 1 for request in sampler)
    assert len(list(sampler)) == 4


def test_repeats_fit_the_samples_and_take_the_place_of_weights() -> None:
    with pytest.raises(ArgumentError, match="repeats has 3 values for 4 samples"):
        TrainingSampler(range(4), 2, repeats=np.ones(3))
    with pytest.raises(ArgumentError, match="Both weights and repeats are given"):
        TrainingSampler(range(4), 2, repeats=np.ones(4), weights=np.ones(4))
