from typing import get_args

import numpy as np
import pytest

from visiontasks.data.index.boxes import BOX_FORMATS, LEAST_SIDE, BoxFormat, clean_boxes, to_xyxy
from visiontasks.data.index.problems import count_kinds


def place(row: int) -> tuple[str, str]:
    return "file", f"row {row}"


def clean(
    boxes: list[list[float]], box_format: BoxFormat, size: tuple[int, int] = (100, 200)
) -> tuple[list[list[float]], dict[str, int]]:
    values = np.array(boxes, np.float64).reshape(-1, 4)
    result = clean_boxes(values, np.tile(np.array(size, np.int32), (len(boxes), 1)), box_format, "source", place)
    return result.boxes[result.keep].tolist(), count_kinds(result.problems)


@pytest.mark.parametrize(
    ("box_format", "box"),
    [
        ("xyxy", [20, 10, 60, 50]),
        ("xywh", [20, 10, 40, 40]),
        ("voc", [21, 11, 60, 50]),
        ("relative", [0.1, 0.1, 0.3, 0.5]),
    ],
)
def test_one_box_in_every_notation(box_format: BoxFormat, box: list[float]) -> None:
    assert clean([box], box_format) == ([[20, 10, 60, 50]], {})
    size = np.array([[100, 200]], np.int32)
    assert to_xyxy(np.array([box], np.float64), size, box_format).tolist() == [[20, 10, 60, 50]]


def test_every_notation_is_listed() -> None:
    assert get_args(BoxFormat) == BOX_FORMATS


def test_voc_corners_of_zero_are_clamped_in_silence() -> None:
    assert clean([[0, 0, 10, 10], [1, 1, 200, 100]], "voc") == ([[0, 0, 10, 10], [0, 0, 200, 100]], {})


def test_voc_corners_that_coincide_are_no_box() -> None:
    assert clean([[181, 32, 181, 32]], "voc") == ([], {"box of zero area": 1})


def test_what_is_dropped_and_what_is_clipped() -> None:
    boxes: list[list[float]] = [
        [10, 10, 10, 20],
        [30, 30, 20, 40],
        [-50, 0, -10, 9],
        [0, 100, 9, 120],
        [190, 0, 220, 9],
        [1, 1, 9, 9],
    ]
    found, kinds = clean(boxes, "xyxy")
    assert found == [[190, 0, 200, 9], [1, 1, 9, 9]]
    assert kinds == {
        "box with swapped corners": 1,
        "box of zero area": 1,
        "box outside the image": 2,
        "box reaches out of the image": 1,
    }


def test_swapped_corners_and_negative_sides_say_so() -> None:
    right = [[150.0, 60, 190, 90]] * 20  # one box alone would look like another notation
    assert clean([[30, 30, 20, 40], *right], "voc")[1] == {"box with swapped corners": 1}
    assert clean([[30, 30, -5, 4]], "xywh")[1] == {"box with negative width or height": 1}


@pytest.mark.parametrize(
    ("box", "box_format"),
    [
        ([10, 10, 10 + 1e-7, 20], "xyxy"),
        ([199.99999999, 5, 20, 20], "xywh"),  # a rounding error at the right border
        ([-20, 5, 20.009, 20], "xywh"),
        ([0.5, 0.5, 0.5 + 1e-9, 0.6], "relative"),
    ],
)
def test_boxes_too_thin_for_single_precision_are_dropped(box: list[float], box_format: BoxFormat) -> None:
    boxes, kinds = clean([box], box_format)
    assert (boxes, kinds) == ([], {"box thinner than 0.01 pixels inside the image": 1})


@pytest.mark.parametrize("side", [33, 640, 20_000, 60_000])
def test_boxes_of_the_least_side_survive_single_precision(side: int) -> None:
    starts = np.linspace(0, side - LEAST_SIDE * 1.0001, 1001)
    boxes = np.stack([starts, starts, starts + LEAST_SIDE * 1.0001, starts + 5], axis=1).clip(0, side)
    result = clean_boxes(boxes, np.full((1001, 2), side, np.int32), "xyxy", "source", place)
    assert result.keep[:-5].all()
    fractions = (result.boxes[result.keep] / side).astype(np.float32)  # what Albumentations compares
    assert (fractions[:, 2:] > fractions[:, :2]).all()


def test_sizes_are_height_by_width() -> None:
    values = np.array([[500.0, 5, 9, 9]])
    (problem,) = clean_boxes(values, np.array([[100, 200]], np.int32), "xywh", "source", place).problems
    assert problem.value == "[500, 5, 9, 9] in an image of 100 x 200 (height x width)"


def test_far_sides_of_an_unknown_size_are_not_clipped() -> None:
    assert clean([[-5, 10, 5000, 7000]], "xyxy", (0, 0)) == ([[0, 10, 5000, 7000]], {"box reaches out of the image": 1})


def test_relative_boxes_need_the_size() -> None:
    assert clean([[0.1, 0.1, 0.3, 0.5]], "relative", (0, 0)) == ([], {"relative box in an image of unknown size": 1})


def test_numbers_that_are_not_finite_are_errors_of_their_own() -> None:
    found, kinds = clean([[float("nan"), 1, 2, 3], [1, 1, 5, 5], [1, 1, float("inf"), 5]], "xyxy")
    assert found == [[1, 1, 5, 5]]
    assert kinds == {"box is not finite": 2}


def random_corners(count: int) -> list[list[float]]:
    rng = np.random.default_rng(0)
    low = rng.uniform((0, 0), (150, 70), (count, 2))
    corners: list[list[float]] = np.concatenate([low, low + rng.uniform(5, 30, (count, 2))], axis=1).round(1).tolist()
    return corners


@pytest.mark.parametrize("box_format", ["xyxy", "voc"])
def test_right_notations_are_not_suspected(box_format: BoxFormat) -> None:
    assert clean(random_corners(500), box_format)[1] == {}
    sides = [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in random_corners(500)]
    assert clean(sides, "xywh")[1] == {}
    assert (
        clean([[x0 / 200, y0 / 100, x1 / 200, y1 / 100] for x0, y0, x1, y1 in random_corners(500)], "relative")[1] == {}
    )
    assert clean([[0, 0, 1, 1]], "xywh")[1] == {}  # one pixel
    assert clean([[3, 3, 199, 99]], "xywh")[1] == {"box reaches out of the image": 1}


def test_wrong_notations_are_named_once() -> None:
    corners = random_corners(500)
    (kind,) = clean(corners, "xywh")[1]
    assert kind == "boxes declared as [x, y, width, height] look like [x0, y0, x1, y1]"
    assert clean(corners, "relative")[1] == {"boxes in pixels are declared as relative": 1}
    fractions = [[x0 / 200, y0 / 100, x1 / 200, y1 / 100] for x0, y0, x1, y1 in corners]
    for box_format in ("xyxy", "xywh", "voc"):
        assert clean(fractions, box_format)[1] == {"boxes from 0 to 1 are declared as pixels": 1}


@pytest.mark.parametrize("box_format", ["xyxy", "voc"])
def test_sides_declared_as_corners_are_named_once(box_format: BoxFormat) -> None:
    sides = [[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in random_corners(500)]
    assert clean(sides, box_format)[1] == {"boxes declared as corners look like [x, y, width, height]": 1}
    # A few corners in the wrong order are boxes of their own that are wrong.
    swapped = [[150.0, 60.0, 120.0, 80.0] if row < 25 else box for row, box in enumerate(random_corners(500))]
    assert clean(swapped, box_format)[1] == {"box with swapped corners": 25}


def test_no_boxes() -> None:
    assert clean([], "xywh") == ([], {})
