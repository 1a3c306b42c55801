from typing import Any

import numpy as np
import pytest
import torch

from tests.test_instance_masks import drawn
from visiontasks import ShapesDataModule
from visiontasks.data.datasets.shapes import ShapesDataset
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.errors import ArgumentError
from visiontasks.testing import check_datamodule
from visiontasks.types import DetectionBatch


def make(**options: Any) -> ShapesDataModule:  # noqa: ANN401 - arguments of the data module
    return ShapesDataModule(**{"train_size": 6, "val_size": 4, "test_size": 3, "image_size": (20, 24), **options})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"in_channels": 1},
        {"augmentation": "strong", "batch_size": 4},
        {"in_channels": 5, "train_size": 13},
        {"task": "detection"},
        {"task": "detection", "augmentation": "strong", "max_objects": 2, "image_size": (40, 48)},
        {"task": "instances", "augmentation": "strong", "image_size": (40, 48)},
    ],
)
def test_the_contract_is_kept(options: dict[str, Any]) -> None:
    check_datamodule(make(**options))


def test_the_description_needs_no_image() -> None:
    data = make(in_channels=1)
    assert data.class_names == ("circle", "square", "triangle", "star")
    assert (data.num_classes, data.in_channels, data.image_size) == (4, 1, (20, 24))
    assert not hasattr(data, "train_set")


def test_images_and_labels_are_those_of_the_generator() -> None:
    data = make(data_seed=2)
    data.setup("fit")
    data.setup("test")
    seeds = []
    for dataset, size in ((data.train_set, 6), (data.val_set, 4), (data.test_set, 3)):
        images, labels, ids = dataset[BatchRequest(list(range(size)), epoch=0)]
        assert ids.tolist() == list(range(size))
        (seed,) = (
            s for s in range(12) if torch.equal(ShapesDataset(1, image_size=(20, 24), seed=s)[0].image, images[0])
        )
        seeds.append(seed)
        for index, sample in enumerate(ShapesDataset(size, image_size=(20, 24), seed=seed)[i] for i in range(size)):
            assert torch.equal(images[index], sample.image)
            assert labels[index] == sample.label
    assert len(set(seeds)) == 3, "a split repeats another one"


def test_no_two_seeds_and_splits_share_images() -> None:
    first_images = set()
    for data_seed in range(3):
        data = make(data_seed=data_seed, image_size=(16, 16))
        data.setup("fit")
        data.setup("test")
        first_images |= {str(s[BatchRequest([0], 0)].images) for s in (data.train_set, data.val_set, data.test_set)}
    assert len(first_images) == 9


def test_more_training_images_leave_the_others_as_they_were() -> None:
    few, many = make(), make(train_size=9)
    for data in (few, many):
        data.setup("fit")
    request = BatchRequest(list(range(6)), epoch=0)
    assert torch.equal(few.train_set[request].images, many.train_set[request].images)


def test_only_training_images_are_augmented() -> None:
    plain, augmented = make(), make(augmentation="default", seed=1)
    for data in (plain, augmented):
        data.setup("fit")
    request = BatchRequest([0, 1, 2, 3], epoch=0)
    later = augmented.train_set[request._replace(epoch=1)].images
    assert torch.equal(plain.val_set[request].images, augmented.val_set[request].images)
    assert not torch.equal(plain.train_set[request].images, augmented.train_set[request].images)
    assert not torch.equal(later, augmented.train_set[request].images)
    assert torch.equal(plain.statistics().mean, augmented.statistics().mean)


def test_a_stage_that_comes_again_generates_nothing_anew() -> None:
    data = make()
    data.setup("fit")
    before = data.train_set, data.val_set
    data.setup("validate")
    data.setup("fit")
    assert (data.train_set, data.val_set) == before
    assert data.statistics() is data.statistics()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_size": 0}, "The splits have 6, 0 and 3 images; expected at least one each"),
        ({"image_size": (8, 24)}, r"image_size is \(8, 24\); expected pixels, at least 16"),
        ({"in_channels": 0}, "channels is 0"),
        ({"batch_size": -1}, "batch_size is -1"),
    ],
)
def test_arguments_out_of_range_are_an_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make(**options).setup("fit")


def test_classes_are_counted() -> None:
    data = make(train_size=13)
    data.setup("fit")
    labels = data.train_set.labels.tolist()
    counts = data.class_counts()
    assert counts.images == 13
    assert counts.with_class.tolist() == [labels.count(label) for label in range(4)]


def test_boxes_are_those_of_the_generator() -> None:
    data = make(task="detection", image_size=(48, 48))
    data.setup("fit")
    assert data.yields == "detection"
    batch = data.val_set[BatchRequest([0, 1, 2, 3], epoch=0)]
    assert isinstance(batch, DetectionBatch)
    for index, sample in enumerate(ShapesDataset(4, image_size=48, seed=1, max_objects=3)[i] for i in range(4)):
        count = len(sample.box_labels)
        assert torch.equal(batch.images[index], sample.image)
        assert torch.equal(batch.boxes[index, :count], sample.boxes)
        assert torch.equal(batch.labels[index, :count], sample.box_labels)
        assert (batch.labels[index, count:] == -1).all()
        assert torch.equal(batch.areas[index, :count], (sample.boxes[:, 2:] - sample.boxes[:, :2]).prod(1))


def test_masks_are_what_is_visible_of_each_object() -> None:
    options: dict[str, Any] = {"image_size": (64, 64), "max_objects": 9}
    data, classes, boxes = (make(task=task, **options) for task in ("instances", "segmentation", "detection"))
    overlapping = 0
    for each in (data, classes, boxes):
        each.setup("fit")
    for index in range(6):
        request = BatchRequest([index], 0)
        batch, truth, plain = (
            data.train_set[request],
            classes.train_set[request].masks[0].numpy(),
            boxes.train_set[request],
        )
        assert all(torch.equal(getattr(batch, name), getattr(plain, name)) for name in plain._fields)
        masks = drawn(batch.mask_bits[0].numpy(), batch.mask_windows[0].numpy(), (64, 64))
        assert batch.mask_sizes.tolist() == [[64, 64]]
        assert torch.equal(batch.mask_windows.float(), batch.boxes)
        assert (masks.sum(0) <= 1).all(), "what is covered belongs to what is above it"
        painted = (masks * (batch.labels[0].numpy()[:, None, None] + 1)).sum(0)
        np.testing.assert_array_equal(painted, truth)
        corners = batch.boxes[0]
        overlap = torch.minimum(corners[:, None, 2:], corners[None, :, 2:]) > torch.maximum(
            corners[:, None, :2], corners[None, :, :2]
        )
        overlapping += int(overlap.all(2).sum()) - len(corners)
    assert overlapping


def test_proposals_are_refused_where_batches_have_none() -> None:
    with pytest.raises(ArgumentError, match="proposals is 'some', and task 'instances'; expected"):
        make(task="instances", proposals="some")


@pytest.mark.unchecked
def test_an_unknown_task_is_an_error() -> None:
    with pytest.raises(ArgumentError, match=r"task is 'detect'\. Did you mean 'detection'"):
        make(task="detect")
