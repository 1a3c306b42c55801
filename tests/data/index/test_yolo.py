import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.data.index.yolo_writer import NAMES, boxes_of, parse, write
from visiontasks.data.index.cache import load_index
from visiontasks.data.index.yolo import YoloLabels
from visiontasks.data.index.yolo_lines import KeyPoints
from visiontasks.data.loading import processes

TRIANGLE = "0 0.1 0.2 0.5 0.2 0.1 0.8\n"


def test_boxes_are_pixels_of_each_image(tmp_path: Path) -> None:
    write(tmp_path, {"a": "1 0.5 0.5 0.25 0.5\n0 0.1 0.2 0.2 0.4\n", "b": ""})
    write(tmp_path, {"c": "1 0.5 0.5 0.25 0.5\n"}, (1000, 300))
    index, problems = parse(tmp_path)
    assert not problems
    assert list(index.files) == ["images/a.png", "images/b.png", "images/c.png"]
    assert index.sizes.tolist() == [[40, 80], [40, 80], [300, 1000]]
    assert [index.objects(image).labels.tolist() for image in range(3)] == [[1, 0], [], [1]]
    np.testing.assert_array_equal(boxes_of(index), [[30, 10, 50, 30], [0, 0, 16, 16], [375, 75, 625, 225]])
    assert index.segments is None


def test_the_size_is_that_of_the_image_as_it_is_shown(tmp_path: Path) -> None:
    write(tmp_path, {"a": "1 0.5 0.5 0.25 0.5\n"})
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (80, 40)).save(tmp_path / "images" / "a.png", exif=turned)
    index, _ = parse(tmp_path)
    assert index.sizes.tolist() == [[80, 40]]
    np.testing.assert_array_equal(boxes_of(index), [[15, 20, 25, 60]])
    stored = YoloLabels(tmp_path, (tmp_path / "images",), NAMES, exif=False).parse().index
    assert stored.sizes.tolist() == [[40, 80]]
    np.testing.assert_array_equal(boxes_of(stored), [[30, 10, 50, 30]])


def test_a_polygon_has_the_box_around_it_and_covers_its_pixels(tmp_path: Path) -> None:
    write(tmp_path, {"a": TRIANGLE, "b": "1 -0.005 0.1 0.5 0.1 0.5 1.005 0.2 0.9 0 0.5\n1 0.9 0.9 1 0.9 1 1\n"})
    index, problems = parse(tmp_path)
    assert not problems
    np.testing.assert_allclose(boxes_of(index), [[8, 8, 40, 32], [0, 4, 40, 40], [72, 36, 80, 40]], atol=1e-9)
    assert index.segments is not None
    points = index.segments.polygons(1)[0].reshape(-1, 2)
    np.testing.assert_array_equal(points, [[0, 4], [40, 4], [40, 40], [16, 36], [0, 20]])  # clipped
    drawn = Image.new("L", (80, 40))
    ImageDraw.Draw(drawn).polygon([(8, 8), (40, 8), (8, 32)], fill=1)
    (mask,) = index.instance_masks(0)
    inside, edge = np.array(drawn), 2 * (32 + 24 + 40)
    assert np.abs(mask.astype(int) - inside).sum() < edge / 2
    assert mask.sum() == pytest.approx(32 * 24 / 2, rel=0.05)
    assert index.class_map(1).max() == 2


def test_a_box_among_polygons_has_no_mask(tmp_path: Path) -> None:
    write(tmp_path, {"a": f"{TRIANGLE}1 0.5 0.5 0.25 0.5\n"})
    index, (problem,) = parse(tmp_path)
    assert (problem.kind, problem.record) == ("object without segmentation", "line 2")
    np.testing.assert_allclose(boxes_of(index), [[8, 8, 40, 32], [30, 10, 50, 30]], atol=1e-9)
    assert index.instance_masks(0).any((1, 2)).tolist() == [True, False]


def test_an_object_that_is_dropped_takes_its_polygon_along(tmp_path: Path) -> None:
    write(tmp_path, {"a": f"0 0.5 0.5 0.5 0.6 0.5 0.7\n{TRIANGLE}0 0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n"})
    index, (problem,) = parse(tmp_path)
    assert (problem.kind, problem.record) == ("box of zero area", "line 1")
    assert index.segments is not None
    assert [polygon.tolist() for polygon in index.segments.polygons(0)] == [[8, 8, 40, 8, 8, 32]]
    assert len(index.segments.polygons(1)[0]) == 8


def test_boxes_of_pose_data_are_read_and_their_key_points_counted(tmp_path: Path) -> None:
    write(
        tmp_path, {"a": "1 0.5 0.5 0.25 0.5 0.4 0.4 2 0.6 0.6 0\n0 0.5 0.5 0.25 0.5 0 0 0 0 0 0\n1 0.5 0.5 0.25 0.5\n"}
    )
    index, (problem,) = parse(tmp_path, key_points=KeyPoints(2, 3))
    assert (problem.kind, problem.value) == ("key points were left out", "those of 2 lines")
    np.testing.assert_array_equal(boxes_of(index), [[30, 10, 50, 30]] * 3)
    problem = parse(tmp_path, key_points=KeyPoints(2, 2))[1][0]
    assert problem.kind == "line of 11 columns among key points"


def test_several_processes_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {f"{number:02}": f"1 0.5 0.5 0.{number + 1:02} 0.5\n" for number in range(30)})
    alone, _ = parse(tmp_path)
    monkeypatch.setattr(processes, "_PARALLEL", 10)
    monkeypatch.setattr(processes, "_CHUNK", 7)
    index, _ = parse(tmp_path)
    np.testing.assert_array_equal(boxes_of(index), boxes_of(alone))
    np.testing.assert_array_equal(index.sizes, alone.sizes)
    assert len(np.unique(boxes_of(alone), axis=0)) == 30


def test_the_cache_follows_labels_images_and_their_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONTASKS_CACHE", str(tmp_path / "cache"))
    root = write(tmp_path / "set", {"a": "1 0.5 0.5 0.25 0.5\n"})

    def load() -> list[list[float]]:
        index = load_index(YoloLabels(root, (root / "images",), NAMES)).index
        assert index.folder is not None
        assert index.boxes is not None
        return [*index.boxes.tolist(), *([] for _ in range(len(index) - len(index.boxes)))]

    assert load() == load() == [[30, 10, 50, 30]]
    write(root, {"b": None})
    assert load() == [[30, 10, 50, 30], []]
    (root / "labels" / "b.txt").write_text("0 0.5 0.5 1 1\n")
    assert load() == [[30, 10, 50, 30], [0, 0, 80, 40]]
    write(root, {"b": "0 0.5 0.5 1 1\n"}, (20, 10))
    assert load() == [[30, 10, 50, 30], [0, 0, 20, 10]]
    os.utime(root / "labels" / "b.txt", (1, 1))
    assert load() == [[30, 10, 50, 30], [0, 0, 20, 10]]
    (root / "images" / "a.png").unlink()
    assert load() == [[0, 0, 20, 10]]
