import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.data.index.coco_writer import small_set, write
from visiontasks.data.index.coco import CocoFile
from visiontasks.data.index.packed import ImageIndex
from visiontasks.errors import ArgumentError, DataError


@pytest.fixture
def index(tmp_path: Path) -> ImageIndex:
    return CocoFile(write(tmp_path, small_set()), tmp_path).parse().require()


def test_objects_are_views(index: ImageIndex) -> None:
    boxes, labels, ignore = index.objects(0)
    assert boxes is not None
    assert index.boxes is not None
    assert np.shares_memory(boxes, index.boxes)
    assert np.shares_memory(labels, index.labels)
    assert np.shares_memory(ignore, index.ignore)
    assert [len(index.objects(image).labels) for image in range(len(index))] == [4, 2, 0]


def test_counts_and_files(index: ImageIndex, tmp_path: Path) -> None:
    assert index.class_names == ("person", "car", "toothbrush")
    assert index.counts().tolist() == [2, 2, 2]
    assert index.file(1) == tmp_path / "sub" / "naïve 😀.jpg"
    assert index.file(1).exists()


def test_a_subset_has_everything_of_its_images(index: ImageIndex) -> None:
    subset = index.subset([2, 1])
    assert (list(subset.files), len(subset)) == (["empty.jpg", "sub/naïve 😀.jpg"], 2)
    assert subset.object_ids is not None
    assert subset.object_ids.tolist() == [0, 10]
    assert subset.offsets.tolist() == [0, 0, 2]
    assert subset.class_names == index.class_names
    np.testing.assert_array_equal(subset.sizes, index.sizes[[2, 1]])
    for mine, theirs in zip(subset.objects(1), index.objects(1), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(subset.instance_masks(1), index.instance_masks(1))
    assert len(index.subset([])) == 0


def test_a_subset_of_images_that_do_not_exist(index: ImageIndex) -> None:
    with pytest.raises(ArgumentError, match="images holds 0 to 3; expected positions from 0 to 2"):
        index.subset([0, 3])


def test_a_copy_in_memory_survives_pickling(index: ImageIndex) -> None:
    copy = pickle.loads(pickle.dumps(index))
    assert list(copy.files) == list(index.files)
    np.testing.assert_array_equal(copy.instance_masks(0), index.instance_masks(0))


def test_class_maps_paint_small_over_large_over_ignored(index: ImageIndex) -> None:
    masks = index.instance_masks(0)
    painted = index.class_map(0)
    expected = np.zeros((40, 60), np.uint8)
    expected[masks[0] != 0] = 255  # the crowd
    for row in sorted(range(1, 4), key=lambda row: -int(masks[row].sum())):
        expected[masks[row] != 0] = index.objects(0).labels[row] + 1
    np.testing.assert_array_equal(painted, expected)
    assert painted.dtype == np.uint8
    assert set(np.unique(painted)) == {0, 1, 2, 3, 255}
    assert not index.class_map(2).any()


def test_class_maps_of_many_classes_need_more_than_a_byte(index: ImageIndex) -> None:
    many = replace(index, class_names=tuple(map(str, range(300))), category_ids=np.arange(300))
    with pytest.raises(
        ArgumentError, match="ignore_index is 255; expected a value beyond background and the 300 classes"
    ):
        many.class_map(0)
    for image in range(3):
        assert many.class_map(image, ignore_index=301).dtype == np.int32
    assert index.class_map(0, ignore_index=-1).min() == -1


def test_masks_without_segments_or_size_say_what_to_do(index: ImageIndex) -> None:
    with pytest.raises(ArgumentError, match="have no polygons or run lengths"):
        replace(index, segments=None).instance_masks(0)
    unknown = replace(index, sizes=np.zeros((3, 2), np.int32))
    with pytest.raises(DataError, match=r"a b\.jpg: the annotations do not say its size\. Pass size"):
        unknown.instance_masks(0)
    np.testing.assert_array_equal(unknown.instance_masks(0, (40, 60)), index.instance_masks(0))
