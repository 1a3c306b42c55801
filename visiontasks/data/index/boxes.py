"""Conversion of boxes in any notation to 0-based xyxy pixels inside the image; invalid boxes are reported."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int32

from visiontasks.data.index.problems import Problem

BoxFormat = Literal["xyxy", "xywh", "voc", "relative"]
"""``xyxy`` and ``xywh``: pixels, 0-based; ``voc``: pixels of the corners, 1-based and inclusive; ``relative``:
xyxy in fractions of width and height."""

BOX_FORMATS: tuple[BoxFormat, ...] = ("xyxy", "xywh", "voc", "relative")

_MOST = 0.95
"""Fraction of the boxes that must look like another notation before the file is assumed to use it."""
_OVERHANG = 0.05
"""Fraction of the image side by which a box must exceed the image to suggest another notation."""
_NEGATIVE = 0.1
"""Fraction of the boxes whose corners must be swapped to suggest another notation; drawing by hand swaps fewer."""
_ROUNDING = 1.0
"""Pixels by which a box may exceed the image without a report: VOC's xmin=0, and rounding."""
LEAST_SIDE = 0.01
"""Least width and height of a box in pixels; single precision no longer tells the sides of thinner ones apart."""


class CleanBoxes(NamedTuple):
    """Boxes in the form used for training.

    Attributes:
        boxes: xyxy in pixels, clipped; boxes that are not kept have undefined values.
        keep: Whether each box has an area inside its image, and sides of at least ``LEAST_SIDE``.
        problems: Boxes that were wrong, dropped or clipped.
    """

    boxes: Float64[np.ndarray, "objects 4"]
    keep: Bool[np.ndarray, " objects"]
    problems: list[Problem]


def clean_boxes(
    values: Float64[np.ndarray, "objects 4"],
    sizes: Int32[np.ndarray, "objects 2"],
    box_format: BoxFormat,
    source: str,
    place: Callable[[int], tuple[str, str]],
) -> CleanBoxes:
    """Convert, check and clip boxes.

    Args:
        values: Boxes as written in the file.
        sizes: (height, width) of each box's image, 0 if unknown (then boxes are not clipped at the right and bottom).
        box_format: The declared notation of the boxes.
        source: The file or folder as a whole, for problems that concern all boxes.
        place: Returns the file and record of a box.
    """
    finite = np.isfinite(values).all(axis=1)
    problems = [
        _problem("error", "box is not finite", place(row), values[row], "Correct or delete the object.")
        for row in np.flatnonzero(~finite).tolist()
    ]
    wrong = _wrong_notation(values[finite], sizes[finite], box_format, source)
    if wrong is not None or not len(values):
        return CleanBoxes(values, finite, [*problems, *filter(None, [wrong])])
    height, width = sizes.T.astype(np.float64)
    if box_format == "relative":
        unknown = finite & ~((height > 0) & (width > 0))
        problems += [
            _problem("error", "relative box in an image of unknown size", place(row), values[row], "Give its size.")
            for row in np.flatnonzero(unknown).tolist()
        ]
        finite &= ~unknown
    with np.errstate(invalid="ignore"):
        boxes = to_xyxy(values, sizes, box_format)
        # In VOC's notation equal corners formally denote one pixel, but in practice a box that was never drawn.
        corners = values if box_format == "voc" else boxes
        swapped = finite & (corners[:, 2:] < corners[:, :2]).any(axis=1)
        empty = finite & ~swapped & (corners[:, 2:] == corners[:, :2]).any(axis=1)
        limits = np.where(sizes > 0, sizes, np.inf)[:, [1, 0, 1, 0]]
        clipped = np.clip(boxes, 0, limits)
        sides = clipped[:, 2:] - clipped[:, :2]
        outside = finite & ~swapped & ~empty & (sides <= 0).any(axis=1)
        thin = finite & ~swapped & ~empty & ~outside & (sides < LEAST_SIDE).any(axis=1)
        overhang = np.abs(clipped - boxes).max(axis=1)
    keep = finite & ~swapped & ~empty & ~outside & ~thin
    negative = box_format == "xywh"
    for kind, rows, remedy in (
        (
            "box with negative width or height" if negative else "box with swapped corners",
            swapped,
            f"It was dropped; write {'x and y of its smallest corner' if negative else 'the smaller corner first'}.",
        ),
        ("box of zero area", empty, "It was dropped."),
        ("box outside the image", outside, "It was dropped; check the size of the image."),
        (f"box thinner than {LEAST_SIDE:g} pixels inside the image", thin, "It was dropped."),
        ("box reaches out of the image", keep & (overhang > _ROUNDING), "It was clipped to the image."),
    ):
        problems += [
            _problem("warning", kind, place(row), values[row], remedy, sizes[row])
            for row in np.flatnonzero(rows).tolist()
        ]
    return CleanBoxes(clipped, keep, problems)


def to_xyxy(
    values: Float64[np.ndarray, "objects 4"], sizes: Int32[np.ndarray, "objects 2"], box_format: BoxFormat
) -> Float64[np.ndarray, "objects 4"]:
    """Convert boxes to xyxy in pixels, 0-based.

    Example:
        >>> to_xyxy(np.array([[1.0, 1, 10, 20]]), np.array([[20, 10]], np.int32), "voc")
        array([[ 0.,  0., 10., 20.]])
    """
    if box_format == "xywh":
        return np.concatenate([values[:, :2], values[:, :2] + values[:, 2:]], axis=1)
    if box_format == "voc":
        corners: Float64[np.ndarray, "objects 4"] = values - np.array([1.0, 1, 0, 0])
        return corners
    if box_format == "relative":
        return values * sizes[:, [1, 0, 1, 0]].astype(np.float64)
    return values


def _wrong_notation(
    values: Float64[np.ndarray, "objects 4"], sizes: Int32[np.ndarray, "objects 2"], box_format: BoxFormat, source: str
) -> Problem | None:
    """Return whether nearly all boxes only make sense in another notation."""
    if not len(values):
        return None
    if box_format == "relative":
        pixels = (values > 1.5).any(axis=1)
        if pixels.mean() < _MOST:
            return None
        kind, example = "boxes in pixels are declared as relative", np.argmax(pixels)
        remedy = "Say box_format='xyxy' (0-based) or 'voc' (1-based)."
    elif ((values >= 0) & (values <= 1)).all(axis=1).mean() >= _MOST and (values % 1 != 0).any():
        kind, example = "boxes from 0 to 1 are declared as pixels", np.argmax((values % 1 != 0).any(axis=1))
        remedy = "Multiply them by width and height, or say box_format='relative' where they are xyxy."
    elif box_format == "xywh":
        far = sizes[:, ::-1].astype(np.float64)
        known = (far > 0).all(axis=1)
        corners = known & (values[:, 2:] > values[:, :2]).all(axis=1) & (values[:, 2:] <= far + 1).all(axis=1)
        overhanging = known & (values[:, :2] + values[:, 2:] > far * (1 + _OVERHANG)).any(axis=1)
        if corners.mean() < _MOST or (corners & overhanging).mean() < 0.1:
            return None
        kind, example = "boxes declared as [x, y, width, height] look like [x0, y0, x1, y1]", np.argmax(overhanging)
        remedy = "Say box_format='xyxy', or write width and height."
    else:
        far = np.where(sizes > 0, sizes, np.inf)[:, ::-1]
        negative = (values[:, 2:] < values[:, :2]).any(axis=1)
        inside = (values >= 0).all(axis=1) & (values[:, :2] + values[:, 2:] <= far + 1).all(axis=1)
        if inside.mean() < _MOST or negative.mean() < _NEGATIVE:
            return None
        kind, example = "boxes declared as corners look like [x, y, width, height]", np.argmax(negative)
        remedy = "Say box_format='xywh', or write the corners in order."
    return _problem("error", kind, (source, f"{len(values)} boxes"), values[example], remedy, sizes[example])


def _problem(
    severity: Literal["error", "warning"],
    kind: str,
    place: tuple[str, str],
    box: Float64[np.ndarray, " 4"],
    remedy: str,
    size: Int32[np.ndarray, " 2"] | None = None,
) -> Problem:
    value = f"[{', '.join(f'{number:.10g}' for number in box)}]"
    if size is not None and size.all():
        value += f" in an image of {size[0]} x {size[1]} (height x width)"
    return Problem(severity, kind, *place, value, remedy)
