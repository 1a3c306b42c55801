"""Lines in another form than they seem, and none of them where the form is right."""

from pathlib import Path

import numpy as np
import pytest

from visiontasks.data.index.yolo_forms import mistaken_polygons, outside_lines
from visiontasks.data.index.yolo_lines import Line


def kinds(shapes: np.ndarray) -> list[str]:
    return [problem.kind for problem in mistaken_polygons(shapes.tolist(), "set")]


def rectangles(angles: np.ndarray, seed: int = 0) -> np.ndarray:
    """Make rectangles in an image of 640 x 480 pixels, as fractions."""
    generator = np.random.default_rng(seed)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * generator.uniform(20, 60, (len(angles), 1, 2))
    turns = np.array([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]]).transpose(2, 0, 1)
    centers = generator.uniform(200, 300, (len(angles), 1, 2))
    return np.asarray(((corners @ turns + centers) / (640, 480)).reshape(-1, 8))


def test_turned_rectangles_look_like_oriented_boxes_and_upright_ones_do_not() -> None:
    angles = np.random.default_rng(0).uniform(0, np.pi, 40)
    assert kinds(rectangles(angles)) == ["lines look like oriented boxes"]
    assert kinds(rectangles(np.zeros(40))) == []
    assert kinds(rectangles(np.arange(40) % 2 * 0.5)) == ["lines look like oriented boxes"]


@pytest.mark.parametrize("columns", [6, 8, 10, 38])
def test_polygons_of_one_length_look_like_nothing_else(columns: int) -> None:
    for seed in range(20):
        angles = np.sort(np.random.default_rng(seed).uniform(0, 2 * np.pi, (30, columns // 2)), axis=1)
        radius = np.random.default_rng(seed).uniform(0.02, 0.2, (30, columns // 2))
        centers = np.random.default_rng(seed + 100).uniform(0.2, 0.8, (30, 1, 2))
        points = centers + radius[..., None] * np.stack([np.cos(angles), np.sin(angles)], -1)
        assert kinds(points.reshape(30, columns)) == []


@pytest.mark.parametrize(("points", "dimensions"), [(1, 2), (2, 2), (5, 2), (17, 2), (2, 3), (4, 3)])
def test_points_in_their_boxes_look_like_key_points(points: int, dimensions: int) -> None:
    generator = np.random.default_rng(0)
    boxes = generator.uniform(0.3, 0.5, (12, 4))
    inside = boxes[:, None, :2] + generator.uniform(-0.5, 0.5, (12, points, 2)) * boxes[:, None, 2:]
    inside[generator.uniform(size=(12, points)) < 0.2] = 0  # not labelled
    seen = np.where(inside[..., :1] > 0, 2.0, 0.0)
    together = np.concatenate([inside, seen], -1)[..., :dimensions]
    assert kinds(np.hstack([boxes, together.reshape(12, -1)])) == ["lines look like boxes with key points"]


def test_boxes_and_shapes_of_several_lengths_are_what_they_are() -> None:
    assert mistaken_polygons([[0.5, 0.5, 0.1, 0.1]] * 10, "set") == []
    assert mistaken_polygons([[0.5, 0.5, 0.9, 0.9, 0.5, 0.5, 0.5, 0.6], [0.5] * 6] * 10, "set") == []
    assert mistaken_polygons([], "set") == []


def test_pixels_are_one_error_and_a_few_wrong_lines_are_one_each() -> None:
    lines = [(Path("a.txt"), Line(number, 0, [300.0, 200, 50, 60])) for number in range(1, 20)]
    (problem,) = outside_lines(lines, 20, "set")
    assert problem.kind == "coordinates are pixels instead of fractions"
    assert problem.value == "19 of 20 lines, the first is '0 300 200 50 60' in 'a.txt', line 1"
    assert len(outside_lines(lines, 21, "set")) == 19
    few = [(Path("a.txt"), Line(3, 0, [0.3, 1.2, 0.1, 0.1]))]
    assert [(problem.kind, problem.record) for problem in outside_lines(few, 1, "set")] == [
        ("coordinate outside 0 to 1", "line 3")
    ]
