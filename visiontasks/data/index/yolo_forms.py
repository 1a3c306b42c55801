"""Lines of labels that are not what they seem: pixels, oriented boxes and key points, seen in all lines together."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from visiontasks.data.index.problems import Problem
from visiontasks.data.index.yolo_lines import Line

_MOST = 0.95
"""Fraction of the lines that must look like another form before the files are assumed to have it."""
_PIXELS = 1.5
"""A coordinate above cannot be a fraction that was computed with a wrong size."""
_NEAR = 0.005
"""Fraction of the image side by which corners of a parallelogram, or points of a box, may be off."""
_FEWEST_POINTS = 6
"""Number of points that must lie in the boxes before they are taken to be key points."""


def outside_lines(outside: Sequence[tuple[Path, Line]], count: int, source: str) -> list[Problem]:
    """Report coordinates outside 0 to 1: all together if nearly all lines hold pixels.

    Args:
        outside: The lines and their files.
        count: Number of all lines.
        source: The data set as a whole.
    """
    pixels = [(file, line) for file, line in outside if max(line.coordinates) > _PIXELS]
    if pixels and len(pixels) >= _MOST * count:
        file, line = pixels[0]
        value = f"{len(pixels)} of {count} lines, the first is {_show(line)} in {str(file)!r}, line {line.number}"
        remedy = "Divide x and widths by the width of the image, y and heights by its height."
        return [Problem("error", "coordinates are pixels instead of fractions", source, "", value, remedy)]
    kind, remedy = "coordinate outside 0 to 1", "Coordinates are fractions of the width and height of the image"
    remedies = [f"{remedy}{', not pixels' * (max(line.coordinates) > _PIXELS)}." for _, line in outside]
    return [
        Problem("error", kind, str(file), f"line {line.number}", _show(line), remedy)
        for (file, line), remedy in zip(outside, remedies, strict=True)
    ]


def mistaken_polygons(shapes: Sequence[Sequence[float]], source: str) -> list[Problem]:
    """Report polygons that look like oriented boxes, or like boxes with key points, in which all have equally many.

    Args:
        shapes: The coordinates of every object of the data set.
        source: The data set as a whole.
    """
    if len({len(shape) for shape in shapes}) != 1 or len(shapes[0]) == 4:
        return []
    values = np.array(shapes, np.float64)
    count = f"{len(values)} lines of {values.shape[1] + 1} columns"
    if _look_like_key_points(values):
        kind, remedy = "lines look like boxes with key points", "Give kpt_shape in data.yaml: then the boxes are read."
        return [Problem("error", kind, source, "", count, remedy)]
    if values.shape[1] == 8 and _look_like_oriented_boxes(values.reshape(-1, 4, 2)):
        kind, remedy = "lines look like oriented boxes", "They were read as polygons; a detector learns the box around."
        return [Problem("warning", kind, source, "", count, remedy)]
    return []


def _look_like_key_points(values: Float64[np.ndarray, "lines columns"]) -> bool:
    centers, sides, rest = values[:, None, :2], values[:, None, 2:4], values[:, 4:]
    for dimensions in (2, 3):
        if rest.shape[1] % dimensions or rest.size < _FEWEST_POINTS * dimensions:
            continue
        points = rest.reshape(len(rest), -1, dimensions)[:, :, :2]
        inside = (np.abs(points - centers) <= sides / 2 + _NEAR).all(2)
        absent = (points == 0).all(2)
        if (inside | absent).all(1).mean() >= _MOST and inside.any():
            return True
    return False


def _look_like_oriented_boxes(corners: Float64[np.ndarray, "lines 4 2"]) -> bool:
    # Fractions of width and height keep parallels parallel, but no right angles.
    off = np.abs(corners[:, 0] + corners[:, 2] - corners[:, 1] - corners[:, 3]).max(1)
    low, high = corners.min(1, keepdims=True), corners.max(1, keepdims=True)
    upright = (np.minimum(corners - low, high - corners) <= _NEAR).all((1, 2))
    return bool((off <= _NEAR).mean() >= _MOST and not upright.all())


def _show(line: Line) -> str:
    text = " ".join(f"{number:.6g}" for number in [line.label, *line.coordinates])
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
