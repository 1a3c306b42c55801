"""Overlaps of the masks of detections and objects, as COCO scores instances.

Masks of detections are runs of pixels in the rows of the image, those of objects are bits in a window. What a run
shares with a mask is the number of its bits between two places: a difference of two counts from the first bit on.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32, Int64, UInt8
from torch import Tensor

from visiontasks.detection.mask_pasting import Pasted, pasted_masks
from visiontasks.metrics.detection_records import Detections, TrueObjects
from visiontasks.metrics.overlaps import LEAST, Overlaps, over_union, pairs_of_class


class Runs(NamedTuple):
    """Masks as runs of pixels.

    Attributes:
        windows: What encloses each mask, xyxy in pixels.
        counts: Number of runs of each mask.
        rows: Row of each run, in order of the masks.
        starts: Its first column.
        ends: The column after its last one.
    """

    windows: Int64[np.ndarray, "masks 4"]
    counts: Int64[np.ndarray, " masks"]
    rows: Int32[np.ndarray, " runs"]
    starts: Int32[np.ndarray, " runs"]
    ends: Int32[np.ndarray, " runs"]


def runs_of(masks: Iterable[Pasted]) -> Runs:
    """Turn masks into runs.

    Args:
        masks: Window of each, xyxy in pixels, and the zeros and ones in it.

    Example:
        >>> runs_of([((5, 2, 8, 4), np.array([[0, 1, 1], [1, 0, 1]], np.uint8))])[1:]
        (array([3]), array([2, 3, 3], dtype=int32), array([6, 5, 7], dtype=int32), array([8, 6, 8], dtype=int32))
    """
    windows: list[Any] = []
    counts: list[int] = []
    runs = [np.zeros((0, 3), np.int32)]
    for window, mask in masks:
        height, width = mask.shape
        # A zero before the first row and after each, where every run begins and ends.
        pixels = np.zeros(1 + height * (width + 1), np.uint8)
        pixels[1:].reshape(height, width + 1)[:, :-1] = mask
        changes = np.flatnonzero(pixels[1:] != pixels[:-1]).reshape(-1, 2)
        rows = changes[:, :1] // (width + 1)
        columns = changes - rows * (width + 1) + window[0]
        runs.append(np.concatenate([rows + window[1], columns], 1, dtype=np.int32))
        windows.append(window)
        counts.append(len(changes))
    rows, starts, ends = np.concatenate(runs).T
    return Runs(np.array(windows, np.int64).reshape(-1, 4), np.array(counts, np.int64), rows, starts, ends)


class PackedMasks:
    """Masks as bits, each in its window; see :func:`~visiontasks.instance_masks.pack_masks`.

    Args:
        bits: The bits of all masks, each from a new byte.
        windows: Window of each mask, xyxy in pixels.

    Attributes:
        windows: The same.
        areas: Number of pixels of each mask.
        first: Its first bit.
    """

    def __init__(self, bits: UInt8[np.ndarray, " bytes"], windows: Int64[np.ndarray, "masks 4"]) -> None:
        self.windows = windows
        pixels = (windows[:, 2] - windows[:, 0]) * (windows[:, 3] - windows[:, 1])
        lengths = -(-pixels // 8) * 8
        self.first = np.cumsum(lengths) - lengths
        words = np.zeros(len(bits) // 8 + 1, ">u8")
        words.view(np.uint8)[: len(bits)] = bits
        self._words = words.astype(np.uint64)
        self._before = np.cumsum(np.bitwise_count(self._words), dtype=np.int64) - np.bitwise_count(self._words)
        self.areas = (self.ones(self.first + pixels) - self.ones(self.first)).astype(np.float64)

    def ones(self, places: Int64[np.ndarray, " places"]) -> Int64[np.ndarray, " places"]:
        """Count the ones before bits."""
        word = places >> 6
        # In two steps, because a shift by all 64 bits is undefined.
        begun = (self._words[word] >> np.uint64(1)) >> (63 - (places & 63)).astype(np.uint64)
        counted: Int64[np.ndarray, " places"] = self._before[word] + np.bitwise_count(begun)
        return counted


def batch_overlaps(predictions: Any, batch: Any, score: float = 0.0) -> tuple[Detections, TrueObjects, Overlaps]:  # noqa: ANN401 (see Args)
    """Compute the overlaps of the masks of a batch, in pixels of the images that the true masks are drawn in.

    Args:
        predictions: What was predicted, with the fields of :class:`~visiontasks.types.InstancePredictions`.
        batch: The images and their objects, with the fields of :class:`~visiontasks.types.InstanceBatch`.
        score: Minimum score of a detection.

    Returns:
        The detections and the objects, without padding, whose images are numbered from 0; and their overlaps.
    """
    real = (predictions.labels >= 0) & (predictions.scores >= score)
    detections = Detections(*_fields(real, predictions.boxes, predictions.labels, predictions.scores))
    real = batch.labels >= 0
    objects = TrueObjects(*_fields(real, batch.boxes, batch.labels, batch.ignore, batch.areas))
    windows = batch.mask_windows.cpu().numpy()
    sides = windows[..., 2:] - windows[..., :2]
    lengths = (-(-sides.prod(-1) // 8)).sum(-1)
    bits = [row[:length] for row, length in zip(batch.mask_bits.cpu().numpy(), lengths, strict=True)]
    true = PackedMasks(np.concatenate([np.zeros(0, np.uint8), *bits]), windows[real.cpu().numpy()])
    found = runs_of(mask for image in pasted_masks(predictions, batch, score) for mask in image)
    return detections, objects, mask_overlaps(detections, found, objects, true)


def mask_overlaps(detections: Detections, found: Runs, objects: TrueObjects, true: PackedMasks) -> Overlaps:
    """Compute the overlaps of the masks of detections and objects.

    Args:
        detections: The detections.
        found: Their masks.
        objects: The objects.
        true: Their masks, in the same pixels.
    """
    first = np.cumsum(found.counts) - found.counts
    areas = np.zeros(len(first))
    if len(found.rows):
        some = found.counts > 0
        areas[some] = np.add.reduceat(found.ends - found.starts, first[some])
    detection, target = pairs_of_class(detections, objects)
    windows, others = found.windows[detection], true.windows[target]
    sides = np.minimum(windows[:, 2:], others[:, 2:]) - np.maximum(windows[:, :2], others[:, :2])
    # No more than the windows and the smaller mask can be shared.
    area, other = areas[detection], true.areas[target]
    most = np.minimum(np.minimum(area, other), sides.clip(0).prod(1))
    union = np.where(objects.ignore[target], area, area + other - most)
    near = (most > 0) & (most >= LEAST * union)
    detection, target = detection[near], target[near]
    shared = _shared(found, first, detection, true, target)
    some = shared > 0
    return over_union(areas, true.areas, objects, detection[some], target[some], shared[some])


def _shared(found: Runs, first: np.ndarray, detection: np.ndarray, true: PackedMasks, target: np.ndarray) -> np.ndarray:
    """Count the pixels that each pair shares; the masks of its detection must have runs."""
    if not len(detection):
        return np.zeros(0)
    counts = found.counts[detection]
    begins = np.cumsum(counts) - counts
    run = np.arange(counts.sum()) + np.repeat(first[detection] - begins, counts)
    left, top, right, bottom = true.windows[target].T
    offsets = true.first[target] - top * (right - left) - left
    low, high = (np.repeat(side.astype(np.int32), counts) for side in (left, right))
    row = found.rows[run]
    inside = row.clip(np.repeat(top.astype(np.int32), counts), np.repeat(bottom.astype(np.int32) - 1, counts))
    start = found.starts[run].clip(low, high)
    # A run outside of the window is empty.
    end = np.where(inside == row, found.ends[run].clip(low, high), start)
    place = np.repeat(offsets, counts) + inside * (high - low).astype(np.int64)
    shared = true.ones(place + end) - true.ones(place + start)
    return np.add.reduceat(shared, begins).astype(np.float64)


def _fields(real: Tensor, *fields: Tensor) -> Iterator[np.ndarray]:
    """Yield the image of each entry that is no padding, and its fields."""
    real = real.cpu()
    yield real.nonzero()[:, 0].numpy()
    for field in fields:
        values = field.cpu()[real]
        yield (values.double() if values.is_floating_point() else values).numpy()
