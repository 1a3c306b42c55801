"""An estimate of the time that a training still takes."""

import time
from collections import deque
from collections.abc import Callable


class TimeLeft:
    """Estimates the time that a training still takes, from what this process has seen of it.

    An epoch is its batches and what comes after them: validation, pictures, checkpoints. The first batch of a process
    does not count, because workers are started and kernels chosen in it; nor does an epoch into which a training was
    resumed as a whole. A validation that has not been seen is taken for half as expensive per batch as training.

    Args:
        every: Number of epochs to each of which a validation belongs.
        clock: Returns the seconds since some moment.

    Example:
        >>> seconds = iter([0, 60, 62, 64, 70])  # begin, three batches of two seconds, validation, a batch
        >>> left = TimeLeft(clock=lambda: next(seconds))
        >>> left.begin_epoch()
        >>> for _ in range(3):
        ...     left.end_batch()
        >>> left.seconds(0, 2, batches=3, validated=0)  # two epochs of three batches
        12.0
        >>> left.begin_epoch()
        >>> left.seconds(3, 1, batches=3, validated=0)  # each with a validation of six seconds
        24.0
    """

    def __init__(self, every: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: float | None = None
        # Seconds and number of the batches of the last epochs, and seconds after their batches.
        self._batches: deque[list[float]] = deque(maxlen=2)
        self._after: deque[float] = deque(maxlen=max(3, every))

    def begin_epoch(self) -> None:
        """Note the begin of an epoch, and with it the end of the one before."""
        now = self._clock()
        if self._last is not None:
            self._after.append(now - self._last)
            self._last = now
        self._batches.append([0.0, 0])

    def end_batch(self) -> None:
        """Note the end of a batch."""
        now = self._clock()
        if self._last is not None:
            self._batches[-1][0] += now - self._last
            self._batches[-1][1] += 1
        self._last = now

    def seconds(self, in_epoch: float, epochs: float, *, batches: float, validated: float) -> float | None:
        """Estimate the seconds until the end.

        Args:
            in_epoch: Number of batches left in the present epoch.
            epochs: Number of epochs after it.
            batches: Number of batches of an epoch.
            validated: Number of batches of validation after those, for the time before one was seen.

        Returns:
            The estimate; None before two batches were seen.
        """
        spent = sum(seconds for seconds, _ in self._batches)
        count = sum(number for _, number in self._batches)
        if not count:
            return None
        each = spent / count
        after = sum(self._after) / len(self._after) if self._after else each * validated / 2
        return float(in_epoch * each + after + (epochs * (batches * each + after) if epochs else 0.0))


def duration(seconds: float) -> str:
    """Write a duration in words.

    Example:
        >>> [duration(seconds) for seconds in (3.2, 61, 754, 3900, 200_000)]
        ['3 s', '1 min 1 s', '13 min', '1 h 5 min', '2 d 8 h']
    """
    whole = round(seconds)
    minutes = round(whole / 60) if whole >= 600 else whole // 60
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{minutes} min {whole % 60} s"
    hours = round(minutes / 60) if minutes >= 2880 else minutes // 60
    if minutes < 60:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if minutes < 2880 else f"{hours // 24} d {hours % 24} h"
