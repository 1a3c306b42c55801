"""Sliding-window prediction of images of any size in bounded memory."""

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from visiontasks.errors import ArgumentError

Image = UInt8[Tensor, "channels height width"]


class Span(NamedTuple):
    """Extent of a window along one side of the image.

    Attributes:
        start: First pixel.
        weights: Blending weight of each of its pixels; the weights of all windows sum to 1 at every pixel.
    """

    start: int
    weights: Float[Tensor, " pixels"]

    @property
    def stop(self) -> int:
        """First pixel after the window."""
        return self.start + len(self.weights)


def spans(length: int, window: int, overlap: int, multiple: int) -> list[Span]:
    """Cover a side of an image with windows.

    All windows start at a multiple of the network's stride, so that they use the same grid as the whole image; the last
    one reaches the end of the side, and is longer than the others by less than ``multiple``. At an inner border a
    network sees zeros instead of the image, so the outer quarter of an overlap has no weight, and the middle half fades
    from one window into the next.

    Args:
        length: Length of the side in pixels.
        window: Length of a window in pixels.
        overlap: Minimum number of pixels that two neighbouring windows share.
        multiple: Number of which every window start is a multiple.

    Example:
        >>> [(span.start, span.stop) for span in spans(100, window=48, overlap=16, multiple=16)]
        [(0, 48), (32, 80), (48, 100)]
    """
    last = max(0, length - window) // multiple * multiple
    step = max(multiple, (window - overlap) // multiple * multiple)
    starts = [*range(0, last, step), last]
    stops = [start + window for start in starts[:-1]] + [length]
    weights = []
    for index, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        weight = torch.ones(stop - start)
        if index > 0:
            weight *= _fade_in(stop - start, stops[index - 1] - start)
        if index < len(starts) - 1:
            weight *= _fade_in(stop - start, stop - starts[index + 1]).flip(0)
        weights.append(weight)
    total = torch.zeros(length)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + len(weight)] += weight
    return [
        Span(start, weight / total[start : start + len(weight)]) for start, weight in zip(starts, weights, strict=True)
    ]


def slide(
    predict: Callable[[UInt8[Tensor, "batch channels height width"]], Float[Tensor, "batch classes height width"]],
    image: Image,
    *,
    window: tuple[int, int] | None = None,
    overlap: float = 0.25,
    multiple: int = 32,
    batch_size: int = 1,
) -> Iterator[Float[Tensor, "classes rows width"]]:
    """Predict an image window by window, and blend the predictions of neighbouring windows.

    Only the probabilities of one row of windows are kept: memory grows with the width of the image, but not with its
    height or the number of windows.

    Args:
        predict: Function from windows to class probabilities.
        image: The image; it may be on another device, or in a memory-mapped file.
        window: Height and width of a window in pixels; None for the whole image at once.
        overlap: Share of a window that the next one overlaps, 0 to 0.9.
        multiple: Coarsest stride of the network.
        batch_size: Number of windows per batch.

    Yields:
        Probabilities of the next rows of the image, from its top to its bottom.

    Raises:
        ArgumentError: If the overlap is out of range, or a window is smaller than ``multiple``.
    """
    height, width = image.shape[-2:]
    if window is not None and (min(window) < multiple or not 0 <= overlap <= 0.9):
        message = (
            f"window is {window} and overlap {overlap}; expected sides of at least {multiple} pixels, the coarsest "
            "stride of the network, and a share of 0 to 0.9."
        )
        raise ArgumentError(message)
    sides = (height, width) if window is None else window
    down, across = (
        spans(length, side, int(side * overlap), multiple) for length, side in zip((height, width), sides, strict=True)
    )
    waiting: Tensor | None = None
    for index, row in enumerate(down):
        strip = _row(predict, image[:, row.start : row.stop], across, batch_size) * row.weights[:, None].to(
            image.device
        )
        if waiting is not None:
            strip[:, : waiting.shape[1]] += waiting
        done = (height if index == len(down) - 1 else down[index + 1].start) - row.start
        yield strip[:, :done]
        waiting = strip[:, done:].clone()


def _row(predict: Callable[[Tensor], Tensor], rows: Tensor, across: list[Span], batch_size: int) -> Tensor:
    strip: Tensor | None = None
    for _, same in groupby(across, lambda span: len(span.weights)):
        group = list(same)
        for first in range(0, len(group), batch_size):
            batch = group[first : first + batch_size]
            outputs = predict(torch.stack([rows[..., span.start : span.stop] for span in batch])).to(rows.device)
            if strip is None:
                strip = outputs.new_zeros(outputs.shape[1], rows.shape[1], rows.shape[2])
            for span, probabilities in zip(batch, outputs, strict=True):
                strip[..., span.start : span.stop] += probabilities * span.weights.to(rows.device)
    assert strip is not None
    return strip


def _fade_in(length: int, overlap: int) -> Tensor:
    """Rise from 0 to 1 over the middle half of an overlap at the start of a window."""
    position = torch.arange(length) + 0.5
    return ((position - overlap / 4) / max(1, overlap / 2)).clamp(0, 1)
