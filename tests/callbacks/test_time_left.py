from collections.abc import Iterator

import pytest

from visiontasks.callbacks.time_left import TimeLeft

BATCHES, EACH, FIRST, VALIDATION = 20, 2.0, 60.0, 12.0
"""An epoch: batches of two seconds, the first one of a process of a minute, and a validation."""


class Clock:
    """Shows the time that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def training(clock: Clock, left: TimeLeft, epoch: int, batch: int, epochs: int) -> Iterator[tuple[int, int]]:
    """Train from a position on, and yield it after each batch."""
    first = FIRST
    while epoch < epochs:
        left.begin_epoch()
        for done in range(batch + 1, BATCHES + 1):
            clock.now += first
            first = EACH
            left.end_batch()
            yield epoch, done
        clock.now += VALIDATION
        epoch, batch = epoch + 1, 0


@pytest.mark.parametrize(("epoch", "batch"), [(0, 0), (3, 0), (3, 13)])
def test_it_is_sensible_from_the_second_batch_on(epoch: int, batch: int) -> None:
    clock, epochs = Clock(), 6
    left = TimeLeft(clock=clock)
    estimates = []
    for now, done in training(clock, left, epoch, batch, epochs):
        seconds = left.seconds(BATCHES - done, epochs - now - 1, batches=BATCHES, validated=8)
        estimates.append((clock.now, now, seconds))
    assert estimates[0][2] is None
    end = clock.now
    for when, now, seconds in estimates[1:]:
        assert seconds is not None
        # Until a validation was seen, it is taken for one of 8 seconds.
        assert seconds == pytest.approx(end - when, rel=0.2 if now == epoch else 1e-9)


def test_a_training_that_becomes_faster_is_noticed() -> None:
    clock = Clock()
    left = TimeLeft(clock=clock)
    for seconds in (8.0, 1.0, 1.0):
        left.begin_epoch()
        for _ in range(4):
            clock.now += seconds
            left.end_batch()
    assert left.seconds(0, 5, batches=4, validated=0) == 20


def test_a_validation_of_every_fifth_epoch_counts_a_fifth() -> None:
    clock = Clock()
    left = TimeLeft(5, clock)
    for epoch in range(10):
        left.begin_epoch()
        for _ in range(4):
            clock.now += 1
            left.end_batch()
        clock.now += 10 * (epoch in (4, 9))
    left.begin_epoch()
    assert left.seconds(4, 4, batches=4, validated=0) == 5 * (4 + 2)


def test_without_an_epoch_after_it_the_number_of_batches_does_not_matter() -> None:
    clock = Clock()
    left = TimeLeft(clock=clock)
    left.begin_epoch()
    for _ in range(2):
        clock.now += 1
        left.end_batch()
    assert left.seconds(3, 0, batches=float("inf"), validated=0) == 3
