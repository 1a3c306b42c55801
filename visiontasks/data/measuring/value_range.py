"""The range of the values of images whose files use a part of what their type holds, such as 12 bits of 16."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from visiontasks.data.images.reading import read_values
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.loading.processes import on_first_process
from visiontasks.errors import ArgumentError, DataError, UnreadableFileError, check_choice

PERCENTILES = (0.1, 99.9)
"""Percentiles of the values of all pixels that become 0 and 255."""

ValueRange = tuple[float, float] | Literal["percentiles"] | None
"""Values that become 0 and 255; ``"percentiles"`` measures them; None for the range of the type of the values."""

_MOST_IMAGES = 500
_PIXELS = 20_000


def check_value_range(value_range: Sequence[float] | str | None) -> ValueRange:
    """Check a range given by a user, and return it.

    Raises:
        ArgumentError: If it is neither two numbers, the lower first, nor a word that is known.
    """
    if value_range is None:
        return None
    if isinstance(value_range, str):
        check_choice("value_range", value_range, ("percentiles",))
        return "percentiles"
    if len(value_range) != 2 or value_range[0] >= value_range[1]:
        message = f"value_range is {list(value_range)}; expected two numbers, the lower first, or 'percentiles'."
        raise ArgumentError(message)
    return value_range[0], value_range[1]


def resolve_value_range(value_range: ValueRange, train: Callable[[], ImageIndex]) -> tuple[float, float] | None:
    """Return a range as two numbers: measured on the training images if that is asked for.

    Raises:
        DataError: If it cannot be measured.
    """
    return measure_value_range(train()) if isinstance(value_range, str) else value_range


def measure_value_range(index: ImageIndex) -> tuple[float, float]:
    """Measure the 0.1th and the 99.9th percentile of the values in at most 500 images, evenly spaced.

    Of each image at most 20,000 values are taken, evenly spaced. If there are several processes, the first one measures
    and sends the result to the others.

    Args:
        index: The training images.

    Raises:
        DataError: If none of the images can be read, or all values are the same.
    """
    return on_first_process(lambda: _measure(index))


def _measure(index: ImageIndex) -> tuple[float, float]:
    samples = []
    for image in np.unique(np.linspace(0, len(index) - 1, min(len(index), _MOST_IMAGES)).astype(int)).tolist():
        try:
            values = read_values(index.file(image)).ravel()
        except UnreadableFileError:  # reported, or left out, where the image is used
            continue
        samples.append(values[:: max(1, values.size // _PIXELS)].astype(np.float64))
    finite = np.concatenate(samples) if samples else np.zeros(0)
    finite = finite[np.isfinite(finite)]
    low, high = np.percentile(finite, PERCENTILES).tolist() if finite.size else (0.0, 0.0)
    if low >= high:
        message = (
            f"The values of the images below {str(index.root)!r} run from {low:g} to {high:g}; expected a range. Give "
            "value_range as two numbers."
        )
        raise DataError(message)
    return low, high
