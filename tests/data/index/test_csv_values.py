from pathlib import Path

import numpy as np

from visiontasks.data.index.csv_columns import Rows, read_header
from visiontasks.data.index.csv_values import is_number, read_boxes, read_numbers, read_sizes


def rows(names: str, *lines: str) -> Rows:
    return Rows(read_header(names.split(","), {}), list(range(2, 2 + len(lines))), [line.split(",") for line in lines])


def test_numbers() -> None:
    assert read_numbers(["1", "", "2.5"], 7).tolist() == [1, 7, 2.5]
    assert np.isnan(read_numbers(["1", "x", ""], np.nan)).tolist() == [False, True, True]
    assert (is_number("nan"), is_number("")) == (True, False)


def test_the_first_size_that_is_known_counts() -> None:
    table = rows("file,width,height", "a,,", "a,60,40", "b,50,", "a,61,40", "c,-1,2")
    sizes, problems = read_sizes(table, np.array([0, 0, 1, 0, 2]), 3, Path("a.csv"))
    assert sizes.tolist() == [[40, 60], [0, 0], [0, 0]]
    assert [(problem.kind, problem.record) for problem in problems] == [
        ("size is not a number of pixels", "line 6"),
        ("sizes of one image differ", "line 5"),
    ]


def test_boxes_and_what_is_written() -> None:
    boxes, written = read_boxes(rows("file,xmin,ymin,xmax,ymax", "a,1,2,3,4", "b,,,,", "c,1,,x,4"))
    assert boxes is not None
    assert boxes[0].tolist() == [1, 2, 3, 4]
    assert np.isnan(boxes[1:]).sum(1).tolist() == [4, 2]
    assert written.sum(1).tolist() == [4, 0, 3]
    assert read_boxes(rows("file,xmin", "a,1"))[0] is None
