"""Label files in YOLO's form: lines of a class and a box or a polygon in fractions of the size of the image."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from visiontasks.data.images.reading import read_size
from visiontasks.data.index.problems import Problem
from visiontasks.errors import UnreadableFileError

_OVERSHOOT = 0.01
"""How far a coordinate may be outside 0 to 1: what rounding adds, and what Ultralytics accepts."""
_FORM = "A line is 'class cx cy w h' or 'class x1 y1 x2 y2 x3 y3 ...', of numbers separated by spaces."


class KeyPoints(NamedTuple):
    """Shape of the key points that follow the box in a line of pose data."""

    points: int
    dimensions: int


class Line(NamedTuple):
    """A line whose numbers can be used.

    Attributes:
        number: Its number in the file, from 1.
        label: Class.
        coordinates: cx, cy, w, h of a box, or x, y, x, y, ... of a polygon; fractions of width and height.
    """

    number: int
    label: int
    coordinates: list[float]


class LabelFile(NamedTuple):
    """Contents of a label file.

    Attributes:
        lines: The lines that can be used.
        outside: The lines with coordinates outside 0 to 1.
        key_points: Number of lines whose key points were left out.
        problems: Lines that cannot be used.
    """

    lines: list[Line]
    outside: list[Line]
    key_points: int
    problems: list[Problem]


class LabelledImage(NamedTuple):
    """An image, its size (height, width), which is 0 if it cannot be read, and its labels."""

    size: tuple[int, int]
    labels: LabelFile
    problems: list[Problem]


def read_labelled_image(
    files: tuple[Path, Path | None],
    names: Sequence[str],
    key_points: KeyPoints | None,
    unreadable: Literal["error", "warning"],
    exif: bool = True,
) -> LabelledImage:
    """Read the size of an image from its header, and its labels.

    Args:
        files: The image, and its label file if it has one.
        names: Names of the classes by their numbers.
        key_points: Shape of the key points of pose data.
        unreadable: Severity of the problem that an image cannot be read.
        exif: Whether the EXIF orientation of images is applied.
    """
    image, file = files
    labels = LabelFile([], [], 0, []) if file is None else read_label_file(file, names, key_points)
    if not image.exists():  # reported with all missing files
        return LabelledImage((0, 0), labels, [])
    try:
        return LabelledImage(read_size(image, exif), labels, [])
    except UnreadableFileError as error:
        remedy = "Its objects were left out." if unreadable == "warning" else "Replace it, or say on_error='skip'."
        problem = Problem(unreadable, "size of an image cannot be read", str(image), "", str(error), remedy)
        return LabelledImage((0, 0), labels, [problem])


def read_label_file(file: Path, names: Sequence[str], key_points: KeyPoints | None = None) -> LabelFile:
    """Read a label file.

    Args:
        file: A text file in UTF-8; an empty one belongs to an image without objects.
        names: Names of the classes by their numbers.
        key_points: Shape of the key points of pose data, which are left out.
    """
    found = LabelFile([], [], 0, [])
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        problem = Problem("error", "label file cannot be read", str(file), "", str(error), "Save it as text in UTF-8.")
        return LabelFile([], [], 0, [problem])
    left_out = 0
    for number, text in enumerate(lines, 1):
        if not (words := text.split()):
            continue
        wrong = _wrong_line(words, names, key_points)
        if wrong is not None:
            kind, remedy = wrong
            value = text.strip() if len(text) <= 80 else f"{text.strip()[:77]}..."
            found.problems.append(Problem("error", kind, str(file), f"line {number}", repr(value), remedy))
            continue
        coordinates = [float(word) for word in words[1:]]
        if key_points is not None and len(words) > 5:
            coordinates, left_out = coordinates[:4], left_out + 1
        line = Line(number, int(float(words[0])), coordinates)
        inside = min(coordinates) >= -_OVERSHOOT and max(coordinates) <= 1 + _OVERSHOOT
        (found.lines if inside else found.outside).append(line)
    return found._replace(key_points=left_out)


def _wrong_line(words: Sequence[str], names: Sequence[str], key_points: KeyPoints | None) -> tuple[str, str] | None:
    """Return what is wrong with a line, and what to do; None if nothing is."""
    count = len(words)
    try:
        values = [float(word) for word in words]
    except ValueError:
        known = words[0] in names
        return "line that is not numbers", f"{words[0]!r} is class {names.index(words[0])}." if known else _FORM
    if not all(map(math.isfinite, values)):
        return "line that is not numbers", _FORM
    if values[0] not in range(len(names)):
        return "unknown class number", f"There are {len(names)} classes, numbered from 0 to {len(names) - 1}."
    if key_points is not None and count != 5:
        expected = 5 + key_points.points * key_points.dimensions
        if count == expected:
            return None
        remedy = f"By kpt_shape it is a class, a box and {key_points.points} points: {expected} columns."
        return f"line of {count} columns among key points", remedy
    if count == 6:
        return "line of 6 columns", "If the last number is a confidence, delete it: labels have none."
    if count < 5 or count % 2 == 0:
        more = " If these are key points, give their kpt_shape in data.yaml: then the boxes are read."
        return "line of a wrong number of columns", f"{_FORM}{more if count > 6 else ''}"
    return None
