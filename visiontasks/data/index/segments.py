"""Polygons and run lengths of objects in flat arrays, rasterised by pycocotools."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, Integer, UInt8, UInt16
from pycocotools import mask as coco_mask

from visiontasks.data.index.ragged import PackedStrings, take_rows

Coordinates = UInt16[np.ndarray, " values"] | Int32[np.ndarray, " values"] | Float64[np.ndarray, " values"]
"""Coordinates as float64 in pixels, or as integers in hundredths of a pixel."""


@dataclass(frozen=True, eq=False)
class Segments:
    """Segmentations of objects: each has any number of polygons, or run lengths, or nothing.

    Attributes:
        values: x, y, x, y, ... of all polygons, see :func:`pack_coordinates`.
        polygon_offsets: Polygon p has the values ``values[polygon_offsets[p]:polygon_offsets[p + 1]]``.
        object_offsets: Object a has the polygons ``object_offsets[a]`` to ``object_offsets[a + 1]``.
        runs: Run lengths of each object in COCO's compressed form; "" for none.
    """

    values: Coordinates
    polygon_offsets: Int64[np.ndarray, " polygon_bounds"]
    object_offsets: Int64[np.ndarray, " object_bounds"]
    runs: PackedStrings

    def __len__(self) -> int:
        return len(self.runs)

    def take(self, objects: Int64[np.ndarray, " taken"]) -> Self:
        """Select objects by position."""
        polygons, object_offsets = take_rows(self.object_offsets, objects)
        values, polygon_offsets = take_rows(self.polygon_offsets, polygons)
        return replace(
            self,
            values=self.values[values],
            polygon_offsets=polygon_offsets,
            object_offsets=object_offsets,
            runs=self.runs.take(objects),
        )

    def known(self) -> Bool[np.ndarray, " objects"]:
        """Return which objects have a polygon or run lengths."""
        return (np.diff(self.object_offsets) > 0) | (np.diff(self.runs.offsets) > 0)

    def polygons(self, obj: int) -> list[Float64[np.ndarray, " values"]]:
        """Return the polygons of an object, x, y, x, y, ... in pixels."""
        first, last = self.object_offsets[obj], self.object_offsets[obj + 1]
        bounds = self.polygon_offsets[first : last + 1]
        return [unpack_coordinates(self.values[start:end]) for start, end in pairwise(bounds)]

    def run_lengths(self, obj: int, size: tuple[int, int]) -> dict[str, Any] | None:
        """Return an object in the form that pycocotools.mask uses, or None if it has no segmentation.

        Args:
            obj: Position.
            size: (height, width) of its image.
        """
        if runs := self.runs[obj]:
            return {"size": list(size), "counts": runs.encode()}
        if polygons := self.polygons(obj):
            merged: dict[str, Any] = coco_mask.merge(coco_mask.frPyObjects(polygons, *size))
            return merged
        return None

    def rasterize(self, objects: Sequence[int], size: tuple[int, int]) -> UInt8[np.ndarray, "objects height width"]:
        """Rasterise objects of one image, each into its own mask of zeros and ones.

        Args:
            objects: Positions.
            size: (height, width) of the image.
        """
        masks = np.zeros((len(objects), *size), np.uint8)
        shapes = [self.run_lengths(obj, size) for obj in objects]
        known = [row for row, shape in enumerate(shapes) if shape is not None]
        if known:
            masks[known] = coco_mask.decode([shapes[row] for row in known]).transpose(2, 0, 1)
        return masks

    def pack(
        self, objects: Sequence[int], size: tuple[int, int]
    ) -> tuple[UInt8[np.ndarray, " bytes"], Int64[np.ndarray, "objects 4"]]:
        """Rasterise objects of one image one after the other, and pack their masks.

        Args:
            objects: Positions.
            size: (height, width) of the image.

        Raises:
            ValueError: If run lengths are those of an image of another size.

        Returns:
            What :func:`~visiontasks.instance_masks.pack_masks` returns for the masks of :meth:`rasterize`.
        """
        windows = np.zeros((len(objects), 4), np.int64)
        parts = [np.zeros(0, np.uint8)]
        for window, obj in zip(windows, objects, strict=True):
            shape = self.run_lengths(obj, size)
            left, top, width, height = (0, 0, 0, 0) if shape is None else map(int, coco_mask.toBbox(shape))
            if width and height:
                left, top, right, bottom = window[:] = left, top, left + width, top + height
                # Pixels are in the order of columns; only those of the window are decoded.
                ends = np.cumsum(run_counts(shape["counts"]))
                if ends[-1] != size[0] * size[1]:
                    message = f"their sum is {ends[-1]}"
                    raise ValueError(message)
                runs = np.diff(ends.clip(left * size[0], right * size[0]), prepend=left * size[0])
                columns = np.repeat((np.arange(len(runs)) & 1).astype(np.uint8), runs).reshape(width, size[0])
                parts.append(np.packbits(columns.T[top:bottom]))
        return np.concatenate(parts), windows


def run_counts(runs: bytes) -> Int64[np.ndarray, " runs"] | None:
    """Decode run lengths in COCO's compressed form; None if it is malformed.

    Each run length is a sequence of characters, lowest bits first, with five bits of the value and one bit that tells
    whether more follow. From the fourth run length on, the value is the difference from the run length two places
    before (rleToString in maskApi.c of cocoapi).
    """
    codes = np.frombuffer(runs, np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        return None
    ends = np.flatnonzero(codes & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    digits = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    if digits.max() > 11:
        return None
    counts: Int64[np.ndarray, " runs"] = np.add.reduceat((codes & 31) << 5 * digits, starts)
    counts -= np.where(codes[ends] & 16, np.int64(1) << 5 * (ends - starts + 1), 0)
    for first in (1, 2):  # the first run is no difference
        counts[first::2] = np.cumsum(counts[first::2])
    return counts


def paint_classes(
    masks: UInt8[np.ndarray, "objects height width"],
    values: Integer[np.ndarray, " objects"],
    ignore: Bool[np.ndarray, " objects"],
    dtype: type[np.uint8 | np.int32] = np.uint8,
) -> UInt8[np.ndarray, "height width"] | Int32[np.ndarray, "height width"]:
    """Paint masks into one image: ignored ones first, then the others from the largest to the smallest.

    Args:
        masks: Zeros and ones.
        values: Value that each mask paints.
        ignore: Which masks lie below all others.
        dtype: Type of the painted values.
    """
    painted = np.zeros(masks.shape[1:], dtype)
    areas = masks.sum(axis=(1, 2), dtype=np.int64)
    for row in np.lexsort((-areas, ~ignore)):
        painted[masks[row] != 0] = values[row]
    return painted


def pack_coordinates(values: Float64[np.ndarray, " values"]) -> Coordinates:
    """Store coordinates in hundredths of a pixel if that is lossless, as for COCO's own files.

    A number with two decimal places equals its hundredths divided by 100 in float64, since both are the float64 nearest
    to the same number.

    Example:
        >>> pack_coordinates(np.array([12.34, 511.5]))
        array([ 1234, 51150], dtype=uint16)
        >>> pack_coordinates(np.array([1 / 3]))
        array([0.33333333])
    """
    hundredths: Float64[np.ndarray, " values"] = np.rint(values * 100)
    low, high = hundredths.min(initial=0), hundredths.max(initial=0)
    if low < -(2**31) or high >= 2**31 or not np.array_equal(hundredths / 100, values):
        return values
    if low < 0 or high >= 2**16:
        return hundredths.astype(np.int32)
    return hundredths.astype(np.uint16)


def unpack_coordinates(values: Coordinates) -> Float64[np.ndarray, " values"]:
    """Return packed coordinates in pixels."""
    return values if values.dtype == np.float64 else values / 100
