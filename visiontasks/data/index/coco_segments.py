"""Conversion of polygons and run lengths in COCO annotations from text to flat arrays."""

from array import array
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import msgspec
import numpy as np
from jaxtyping import Float64, Int32
from msgspec import Raw, Struct
from pycocotools import mask as coco_mask

from visiontasks.data.index.problems import Problem
from visiontasks.data.index.ragged import PackedStrings, offsets_of
from visiontasks.data.index.segments import Coordinates, Segments, pack_coordinates, run_counts, unpack_coordinates

_CHUNK = 2_000
"""Number of annotations decoded together, small enough for their values to stay in the CPU cache."""


class _RunLengths(Struct):
    counts: str | list[int]
    size: tuple[int, int]


_Shape = list[list[float]] | _RunLengths | None
_DECODER: msgspec.json.Decoder[_Shape] = msgspec.json.Decoder(_Shape)
_LIST_DECODER: msgspec.json.Decoder[list[_Shape]] = msgspec.json.Decoder(list[_Shape])


class _Chunk(NamedTuple):
    values: Coordinates
    polygon_lengths: list[int]
    object_lengths: list[int]
    runs: list[str]


def pack_segments(
    texts: Sequence[Raw], sizes: Int32[np.ndarray, "objects 2"], place: Callable[[int], tuple[str, str]]
) -> tuple[Segments | None, list[Problem]]:
    """Pack the segmentations of objects into flat arrays.

    Args:
        texts: JSON of each object: a list of polygons, run lengths, or empty.
        sizes: (height, width) of each object's image, 0 if unknown.
        place: Returns the file and record of an object.

    Returns:
        The segmentations, or None if no object has one; and their problems.
    """
    problems: list[Problem] = []
    chunks = [
        _pack_chunk(texts, sizes, range(start, min(start + _CHUNK, len(texts))), place, problems)
        for start in range(0, len(texts), _CHUNK)
    ]
    parts = [chunk.values for chunk in chunks]
    if any(part.dtype == np.float64 for part in parts):
        parts = [unpack_coordinates(part) for part in parts]
    runs = [text for chunk in chunks for text in chunk.runs]
    object_lengths = [length for chunk in chunks for length in chunk.object_lengths]
    boxed = [
        row for row, (length, text) in enumerate(zip(object_lengths, runs, strict=True)) if not length and not text
    ]
    if len(boxed) == len(texts):
        return None, problems
    named = {problem.record for problem in problems}
    for where in map(place, boxed):
        if where[1] not in named:
            problems.append(Problem("warning", "object without segmentation", *where, "", "Its mask is empty."))
    segments = Segments(
        np.concatenate(parts),
        offsets_of(np.array([length for chunk in chunks for length in chunk.polygon_lengths], np.int64)),
        offsets_of(np.array(object_lengths, np.int64)),
        PackedStrings.pack(runs),
    )
    return segments, problems


def boxes_of_segments(texts: Sequence[Raw]) -> Float64[np.ndarray, "objects 4"]:
    """Compute the boxes around segmentations.

    Args:
        texts: JSON of each object: a list of polygons, run lengths, or empty.

    Returns:
        xyxy in pixels; NaN for an object whose segmentation is empty or malformed.
    """
    boxes = np.full((len(texts), 4), np.nan)
    for row, text in enumerate(texts):
        try:
            shape = _DECODER.decode(text)
        except msgspec.DecodeError:  # reported with the segmentations
            continue
        if isinstance(shape, _RunLengths):
            height, width = shape.size
            if _total(shape.counts) == height * width:
                left, top, across, down = coco_mask.toBbox(_compressed(shape))
                boxes[row] = left, top, left + across, top + down
        elif points := [value for polygon in shape or () if len(polygon) >= 6 for value in polygon]:
            corners = np.array(points[: len(points) // 2 * 2], np.float64).reshape(-1, 2)
            boxes[row] = *corners.min(0), *corners.max(0)
    return boxes


def _pack_chunk(
    texts: Sequence[Raw],
    sizes: Int32[np.ndarray, "objects 2"],
    rows: range,
    place: Callable[[int], tuple[str, str]],
    problems: list[Problem],
) -> _Chunk:
    polygons: list[list[list[float]]] = []
    runs: list[str] = []
    for row, shape in zip(rows, _decode(texts[rows.start : rows.stop], rows, place, problems), strict=True):
        if isinstance(shape, _RunLengths):
            polygons.append([])
            runs.append(_compress(shape, sizes[row], place(row), problems))
        else:
            polygons.append(shape or [])
            runs.append("")
    lengths = [len(polygon) for shape in polygons for polygon in shape]
    if any(length < 6 or length % 2 for length in lengths):
        polygons = [_drop_degenerate(shape, place(row), problems) for row, shape in zip(rows, polygons, strict=True)]
        lengths = [len(polygon) for shape in polygons for polygon in shape]
    values = array("d")
    for polygon in chain.from_iterable(polygons):
        values.fromlist(polygon)
    return _Chunk(pack_coordinates(np.frombuffer(values)), lengths, [len(shape) for shape in polygons], runs)


def _decode(
    texts: Sequence[Raw], rows: range, place: Callable[[int], tuple[str, str]], problems: list[Problem]
) -> list[_Shape]:
    """Decode the segmentations of a chunk together or, if that fails, one by one."""
    try:
        return _LIST_DECODER.decode(b"[" + b",".join(texts) + b"]")
    except msgspec.DecodeError:
        pass
    shapes: list[_Shape] = []
    for row, text in zip(rows, texts, strict=True):
        try:
            shapes.append(_DECODER.decode(text))
        except msgspec.DecodeError as error:
            shapes.append(None)
            remedy = "It is a list of polygons [x, y, x, y, ...], or run lengths with counts and size."
            problems.append(Problem("error", "malformed segmentation", *place(row), str(error), remedy))
    return shapes


def _compress(
    shape: _RunLengths, size: Int32[np.ndarray, " 2"], place: tuple[str, str], problems: list[Problem]
) -> str:
    """Return run lengths in COCO's compressed form; if they do not fit the image, report them and return ""."""
    height, width = shape.size
    kind, value = "", ""
    if size.all() and (height, width) != tuple(size.tolist()):
        kind = "size of the run lengths differs from the image's"
        value = f"{height} x {width} in an image of {size[0]} x {size[1]} (height x width)"
    else:
        total = _total(shape.counts)
        if total != height * width:
            kind = "run lengths do not fill their image"
            value = f"{'no run lengths' if total is None else f'sum {total}'} for {height} x {width} pixels"
    if kind:
        problems.append(Problem("error", kind, *place, value, "Correct or delete the object."))
        return ""
    return shape.counts if isinstance(shape.counts, str) else _compressed(shape)["counts"].decode()


def _compressed(shape: _RunLengths) -> dict[str, Any]:
    """Return run lengths in the form that pycocotools.mask uses."""
    height, width = shape.size
    if isinstance(shape.counts, str):
        return {"counts": shape.counts.encode(), "size": [height, width]}
    compressed: dict[str, Any] = coco_mask.frPyObjects({"counts": shape.counts, "size": [height, width]}, height, width)
    return compressed


def _total(counts: str | list[int]) -> int | None:
    """Return the sum of run lengths; None if malformed. pycocotools reads beyond the end of too short ones."""
    if isinstance(counts, list):
        return None if min(counts, default=0) < 0 else sum(counts)
    written = run_counts(counts.encode())
    return None if written is None else int(written.sum())


def _drop_degenerate(shape: list[list[float]], place: tuple[str, str], problems: list[Problem]) -> list[list[float]]:
    """Drop degenerate polygons: pycocotools would interpret four numbers as a box."""
    kept = []
    for polygon in shape:
        if len(polygon) % 2:
            remedy = "Correct it: x and y alternate."
            kind = "polygon with an odd number of coordinates"
            problems.append(Problem("error", kind, *place, str(polygon)[:120], remedy))
        elif len(polygon) < 6:
            kind = "polygon of fewer than three points"
            problems.append(Problem("warning", kind, *place, str(polygon), "It was dropped."))
        else:
            kept.append(polygon)
    return kept
