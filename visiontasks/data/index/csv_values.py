"""Numbers in the cells of tables: sizes of images, and boxes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from visiontasks.data.index.csv_columns import CORNERS, Rows
from visiontasks.data.index.problems import Problem


def read_sizes(
    rows: Rows, image_of: Int64[np.ndarray, " rows"], images: int, table: Path
) -> tuple[Int32[np.ndarray, "images 2"], list[Problem]]:
    """Read (height, width) of each image, 0 if the table does not contain them.

    Args:
        rows: The rows.
        image_of: Image of each row.
        images: Number of images.
        table: The file, for problems.
    """
    sizes = np.zeros((images, 2), np.int32)
    if not {"height", "width"} & rows.header.columns.keys():
        return sizes, []
    problems: list[Problem] = []
    written = {meaning: rows.column(meaning) for meaning in ("height", "width")}
    numbers = np.column_stack([read_numbers(written["height"], 0), read_numbers(written["width"], 0)])
    with np.errstate(invalid="ignore"):
        whole = ((numbers >= 0) & (numbers < 2**31) & (numbers % 1 == 0)).all(axis=1)
    for row in np.flatnonzero(~whole).tolist():
        kind, value = (
            "size is not a number of pixels",
            f"width={written['width'][row]!r}, height={written['height'][row]!r}",
        )
        remedy = "Correct it, or leave it empty."
        problems.append(Problem("error", kind, str(table), f"line {rows.lines[row]}", value, remedy))
    known = np.flatnonzero(whole & (numbers > 0).all(axis=1))
    named, first = np.unique(image_of[known], return_index=True)
    sizes[named] = numbers[known[first]]
    differing = known[(sizes[image_of[known]] != numbers[known]).any(axis=1)].tolist()
    names = rows.column("file") if differing else []
    for row in differing:
        before = sizes[image_of[row]]
        stated = f"{numbers[row, 0]:.0f} x {numbers[row, 1]:.0f}"
        value = f"{names[row]!r}: {stated} (height x width), {before[0]} x {before[1]} before"
        place = f"line {rows.lines[row]}"
        problems.append(Problem("error", "sizes of one image differ", str(table), place, value, "Correct the rows."))
    return sizes, problems


def read_boxes(rows: Rows) -> tuple[Float64[np.ndarray, "rows 4"] | None, Bool[np.ndarray, "rows 4"]]:
    """Read the box of each row, NaN for what is not a number, and tell which cells are written.

    Returns:
        The boxes, None if the table has no columns of corners; and which of the cells are not empty.
    """
    if not {*CORNERS} <= rows.header.columns.keys():
        return None, np.zeros((len(rows.cells), 4), np.bool_)
    columns = [rows.column(corner) for corner in CORNERS]
    written = np.column_stack([np.fromiter(map(bool, cells), np.bool_, len(cells)) for cells in columns])
    return np.column_stack([read_numbers(cells, np.nan) for cells in columns]), written


def read_numbers(cells: Sequence[str], empty: float) -> Float64[np.ndarray, " cells"]:
    """Read numbers; NaN for a cell that holds none.

    Args:
        cells: The cells.
        empty: Value of an empty cell.
    """
    try:
        return np.fromiter((float(cell) if cell else empty for cell in cells), np.float64, len(cells))
    except ValueError:
        return np.fromiter((_number(cell, empty) for cell in cells), np.float64, len(cells))


def is_number(cell: str) -> bool:
    """Return whether a cell holds a number, be it infinite or NaN."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(cell: str, empty: float) -> float:
    if not cell:
        return empty
    return float(cell) if is_number(cell) else np.nan
