"""Joined indexes hold what their parts hold, each image once."""

from pathlib import Path

import numpy as np

from tests.data.datamodules.image_sets import write_coco
from visiontasks import COCODataModule
from visiontasks.data.index.joining import join_indexes


def test_images_objects_and_polygons_stay_what_they_are(tmp_path: Path) -> None:
    splits = COCODataModule(write_coco(tmp_path, count=5), "segmentation", num_workers=0).splits
    parts = [splits["train"].index, splits["val"].index]
    joined = join_indexes(parts)
    places = [(part, image) for part in parts for image in range(len(part))]
    assert len(joined) == len(places) == 10
    for position, (part, image) in enumerate(places):
        assert joined.file(position) == part.file(image)
        assert joined.image_id(position) == part.image_id(image)
        assert np.array_equal(joined.class_map(position), part.class_map(image))
        assert np.array_equal(joined.areas_of(position), part.areas_of(image))
        for found, expected in zip(joined.objects(position), part.objects(image), strict=True):
            assert np.array_equal(np.asarray(found), np.asarray(expected))


def test_an_image_of_several_parts_is_taken_once(tmp_path: Path) -> None:
    index = COCODataModule(write_coco(tmp_path, count=4), num_workers=0).splits["train"].index
    joined = join_indexes([index.subset([2, 0]), index])
    assert list(joined.files) == ["2.png", "0.png", "1.png", "3.png"]
