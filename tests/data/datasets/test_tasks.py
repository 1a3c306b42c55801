"""What each task takes from the annotations of an image."""

from pathlib import Path

import albumentations as A
import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.datasets.image_files import Files, Objects
from visiontasks.data.augmentation.resizing import RandomScaledCrop, Stretch
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.datasets.tasks import (
    AutoencodingDataset,
    ClassificationDataset,
    DetectionDataset,
    LocalizationDataset,
    MultilabelDataset,
    SegmentationDataset,
)
from visiontasks.data.loading.loader import BatchLoader
from visiontasks.data.loading.samplers import BatchRequest, EvaluationSampler
from visiontasks.errors import ArgumentError, DataError

ALL = BatchRequest(list(range(7)), 0)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_localization_takes_the_largest_object_that_counts(files: Files) -> None:
    files.found[0] = files.found[0]._replace(
        boxes=np.array([[0, 0, 5, 5], [0, 0, 40, 40], [2, 4, 22, 24.0]]),
        labels=np.array([0, 1, 2], np.int32),
        ignore=np.array([False, True, False]),
    )
    files.found[1] = files.found[1]._replace(
        boxes=np.empty((0, 4)), labels=np.empty(0, np.int32), ignore=np.empty(0, np.bool_)
    )
    batch = LocalizationDataset(files, resizing=Stretch((96, 64)))[BatchRequest([0, 1], 0)]
    assert batch.labels.tolist() == [2, -1]
    assert batch.boxes.tolist() == [[2, 8, 22, 48], [0, 0, 0, 0]]


def test_what_belongs_to_an_object_stays_with_it_when_a_crop_drops_another(files: Files) -> None:
    files.found[0] = Objects(
        boxes=np.array([[0, 0, 9, 9], [20, 2, 30, 12], [40, 20, 60, 40.0], [1, 30, 9, 40]]),
        labels=np.array([0, 1, 2, 3], np.int32),
        ignore=np.array([False, True, False, True]),
    )
    crop = Augmentation([A.Crop(16, 0, 64, 48)])
    batch = DetectionDataset(files, augmentation=crop)[BatchRequest([0], 0)]
    assert batch.boxes[0].tolist() == [[4, 2, 14, 12], [24, 20, 44, 40]]
    assert batch.labels.tolist() == [[1, 2]]
    assert batch.ignore.tolist() == [[True, False]]
    assert batch.areas.tolist() == [[100, 400]]


def test_classes_of_images(files: Files) -> None:
    labels = [files.objects(index).labels for index in range(7)]
    one = ClassificationDataset(files, resizing=Stretch((16, 16)))[ALL].labels
    assert one.tolist() == [found[0] for found in labels]
    several = MultilabelDataset(files, resizing=Stretch((16, 16)))[ALL].labels
    assert several.dtype == torch.uint8
    assert several.tolist() == [[int(label in found) for label in range(4)] for found in labels]
    files.found[2] = files.found[2]._replace(labels=np.empty(0, np.int32))
    assert AutoencodingDataset(files)[BatchRequest([2], 0)].labels.tolist() == [-1]
    with pytest.raises(DataError, match=r"2\.png' has no class"):
        ClassificationDataset(files)[BatchRequest([2], 0)]


def test_masks_come_from_files_or_from_polygons(files: Files) -> None:
    drawn = SegmentationDataset(files)
    assert drawn.classes == 5  # background and four
    files.write_masks()
    stored = SegmentationDataset(files, classes=5)
    for index in range(7):
        one = drawn[BatchRequest([index], 0)]
        assert np.array_equal(one.masks[0], files.maps[index])
        assert torch.equal(one.masks, stored[BatchRequest([index], 0)].masks)
    assert (drawn[ALL].masks[:, 63:] == 255).any()


def test_wrong_masks_are_named(files: Files) -> None:
    files.write_masks()
    dataset = SegmentationDataset(files)  # four names, and the masks have five values
    bad = next(index for index in range(7) if files.maps[index].max() == 4)
    with pytest.raises(DataError, match=rf"mask {bad}\.png': the mask has \d+ pixels of value 4; expected 0 to 3"):
        dataset[BatchRequest([bad], 0)]
    Image.new("L", (64, 47)).save(files.root / "mask 0.png")
    with pytest.raises(DataError, match=r"mask 0\.png': the mask is 47 x 64 .* its image 48 x 64"):
        dataset[BatchRequest([0], 0)]
    files.masks = [""] * 7
    with pytest.raises(DataError, match=r"0\.png' has no mask file"):
        dataset[BatchRequest([0], 0)]
    with pytest.raises(ArgumentError, match="256 classes; expected at most 255"):
        SegmentationDataset(files, classes=256)


def test_a_mask_that_is_all_ignored_is_ordinary(files: Files) -> None:
    files.maps[0][:] = 255
    assert (SegmentationDataset(files)[BatchRequest([0], 0)].masks == 255).all()


@pytest.mark.slow
def test_real_data_through_the_training_pipeline(data_root: Path) -> None:
    """CamVid: ids of void are ignored, and every class of the set occurs."""
    names = [line.split() for line in (data_root / "CamVid" / "train.txt").read_text().splitlines()][:40]

    class CamVid(Files):
        def __init__(self) -> None:
            self.root = data_root / "CamVid"
            self.sizes = np.zeros((len(names), 2), np.int32)
            self.class_names = tuple("abcdefghijk")
            self.masks = [mask for _, mask in names]

        def file(self, image: int) -> Path:
            return self.root / names[image][0]

    dataset = SegmentationDataset(
        CamVid(),
        ignore_index=11,
        resizing=RandomScaledCrop((256, 320)),
        augmentation=Augmentation.create("segmentation", "strong"),
    )
    (batch,) = BatchLoader(dataset, EvaluationSampler(dataset, 40), 2)
    assert batch.images.shape == (40, 3, 256, 320)
    assert set(batch.masks.unique().tolist()) == {*range(11), 255}
