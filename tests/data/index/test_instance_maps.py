"""Numbers of objects in files, and the annotated objects that they are."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from visiontasks.data.index.instance_maps import MapInstance, find_instances, match_boxes, pack_runs, read_numbers
from visiontasks.errors import UnreadableFileError

NUMBERS = np.array([[0, 7, 7, 0], [300, 300, 7, 0], [300, 0, 0, 9]], np.uint16)


def test_numbers_are_read_as_they_are_stored(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "deep.png"), NUMBERS)
    assert np.array_equal(read_numbers(tmp_path / "deep.png"), NUMBERS)
    palette = Image.fromarray(NUMBERS.clip(0, 9).astype(np.uint8))
    palette.putpalette([255 - number for number in range(256)] + [3] * 512)
    palette.save(tmp_path / "palette.png")
    assert np.array_equal(read_numbers(tmp_path / "palette.png"), NUMBERS.clip(0, 9))
    colours = np.stack([NUMBERS // 256, NUMBERS % 256, NUMBERS * 0 + 5 * (NUMBERS > 0)], 2).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "colours.png")
    found = read_numbers(tmp_path / "colours.png")
    pairs = {*zip(NUMBERS.ravel().tolist(), found.ravel().tolist(), strict=True)}
    assert pairs == {(0, 0), (7, 0x000705), (300, 0x012C05), (9, 0x000905)}
    Image.fromarray(colours).save(tmp_path / "lossy.jpg")
    with pytest.raises(UnreadableFileError, match="JPEG changes the values"):
        read_numbers(tmp_path / "lossy.jpg")


def test_objects_have_the_class_of_most_of_their_pixels_and_their_exact_mask() -> None:
    labels = np.array([[255, 1, 1, 0], [255, 255, 3, 0], [4, 0, 0, 255]], np.uint8)
    found = find_instances(NUMBERS, labels)
    assert [(one.number, one.label) for one in found] == [(7, 1), (9, -1), (300, 4)]
    assert [one.box for one in found] == [(1, 0, 3, 2), (3, 2, 4, 3), (0, 1, 2, 3)]
    segments = pack_runs([one.runs for one in found])
    assert np.array_equal(segments.rasterize(range(3), (3, 4)), [NUMBERS == 7, NUMBERS == 9, NUMBERS == 300])
    assert [one.label for one in find_instances(NUMBERS, None, none=(0, 9))] == [0, 0]
    assert find_instances(np.zeros((3, 4), np.uint8), None) == []
    assert coco_mask.area(segments.run_lengths(2, (3, 4))) == 3
    assert pack_runs(["", found[0].runs]).known().tolist() == [False, True]


def instance(number: int, label: int, *box: float) -> MapInstance:
    return MapInstance(number, label, (box[0], box[1], box[2], box[3]), "")


def test_numbers_decide_where_all_of_them_fit() -> None:
    # Two objects of a class, whose boxes overlap much: by overlap alone they would be swapped.
    boxes, labels = np.array([[0, 0, 20, 20], [2, 0, 22, 20.0]]), np.array([5, 5])
    instances = [instance(1, 5, 3, 1, 20, 19), instance(2, 5, 3, 1, 19, 19)]
    assert match_boxes(instances, boxes, labels) == [0, 1]
    assert match_boxes([instance(2, 5, 3, 1, 20, 19), instance(1, 5, 3, 1, 19, 19)], boxes, labels) == [1, 0]


def test_otherwise_class_and_box_decide_each_object_once() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 0, 40, 20], [20, 0, 40, 20], [0, 30, 10, 40.0]])
    labels = np.array([0, 2, 2, 0])
    instances = [
        instance(1, 2, 21, 1, 39, 19),  # the larger one
        instance(2, 1, 1, 1, 9, 9),  # another class than the box around it
        instance(3, 2, 1, 31, 6, 36),  # the box is of another class
        instance(4, 2, 25, 5, 35, 15),  # within the same box as the first, which is taken: the second of these
        instance(5, 0, 8, 8, 30, 30),  # mostly outside of the box
    ]
    assert match_boxes(instances, boxes, labels) == [1, -1, -1, 2, -1]
    assert match_boxes(instances, np.empty((0, 4)), labels[:0]) == [-1] * 5
    assert match_boxes([], boxes, labels) == []
