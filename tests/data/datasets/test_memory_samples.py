from typing import Any, Literal

import albumentations as A
import pytest
import torch

from visiontasks import ShapesDataModule
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.datasets.memory_samples import MemorySamples
from visiontasks.data.datasets.shapes import ShapesDataset
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.errors import ArgumentError
from visiontasks.testing import check_datamodule
from visiontasks.types import DetectionBatch, ProposalBatch

LOST: dict[str, Any] = {"Affine": {"translate_percent": {"x": [1.0, 1.0], "y": [1.0, 1.0]}, "p": 1.0}}


Task = Literal["localization", "detection", "segmentation"]


@pytest.mark.parametrize("task", ["localization", "detection", "segmentation"])
@pytest.mark.parametrize("augmentation", ["none", "strong"])
def test_shapes_of_any_task_keep_the_contract(task: Task, augmentation: Literal["none", "strong"]) -> None:
    sizes: dict[str, Any] = {"train_size": 6, "val_size": 4, "test_size": 3, "image_size": (20, 24)}
    check_datamodule(ShapesDataModule(task, augmentation=augmentation, max_objects=3, **sizes))


def test_images_labels_and_boxes_are_those_of_the_generator() -> None:
    data = ShapesDataModule("localization", train_size=5, val_size=2, image_size=(20, 24))
    data.setup("fit")
    batch: Any = data.train_set[BatchRequest([3, 1], epoch=0)]
    for row, index in enumerate((3, 1)):
        sample = ShapesDataset(5, image_size=(20, 24), seed=0)[index]
        assert torch.equal(batch.images[row], sample.image)
        assert torch.equal(batch.boxes[row], sample.box)
        assert batch.labels[row] == sample.label
    assert batch.ids.tolist() == [3, 1]


def make(augmentation: str | dict[str, Any], seed: int = 0) -> MemorySamples:
    data = ShapesDataModule("localization", train_size=4, image_size=(32, 32))
    data.setup("fit")
    assert isinstance(data.train_set, MemorySamples)
    return MemorySamples(data.train_set.samples, Augmentation.create("localization", augmentation), seed)


def test_augmentation_depends_on_seed_epoch_and_index_only() -> None:
    dataset = make("strong")
    first, again = dataset[BatchRequest([0, 1, 2], 0)], dataset[BatchRequest([2, 0], 0)]
    assert torch.equal(again.images, first.images[[2, 0]])
    assert torch.equal(again.boxes, first.boxes[[2, 0]])
    assert not torch.equal(dataset[BatchRequest([0, 1, 2], 1)].images, first.images)
    assert not torch.equal(make("strong", seed=1)[BatchRequest([0, 1, 2], 0)].images, first.images)


def test_an_object_that_is_moved_out_of_the_image_is_none() -> None:
    batch = make(LOST)[BatchRequest([0, 1], 0)]
    assert batch.labels.tolist() == [-1, -1]
    assert not batch.boxes.any()


def test_a_flip_moves_boxes_proposals_and_mask_with_the_image() -> None:
    flip = Augmentation.create("detection", {"HorizontalFlip": {"p": 1.0}})
    data = ShapesDataModule("detection", train_size=3, image_size=(32, 40), max_objects=4)
    data.setup("fit")
    assert isinstance(data.train_set, MemorySamples)
    samples = [ProposalBatch(**sample._asdict(), proposals=sample.boxes[:1] + 1) for sample in data.train_set.samples]
    for sample, plain in zip(
        samples, [MemorySamples(samples, flip)[BatchRequest([index], 0)] for index in range(3)], strict=True
    ):
        assert torch.equal(plain.images[0], sample.images.flip(2))
        mirrored = sample.boxes[:, [2, 1, 0, 3]] * torch.tensor([-1, 1, -1, 1]) + torch.tensor([40, 0, 40, 0])
        assert torch.allclose(plain.boxes[0], mirrored, atol=1e-4)
        assert torch.equal(plain.labels[0], sample.labels)
        assert torch.equal(plain.areas[0], sample.areas)
        assert torch.allclose(plain.proposals[0], (mirrored[:1] + torch.tensor([-1, 1, -1, 1])).clamp(0, 40), atol=1e-4)
    masks = ShapesDataModule("segmentation", train_size=3, image_size=(32, 40))
    masks.setup("fit")
    assert isinstance(masks.train_set, MemorySamples)
    flipped = MemorySamples(masks.train_set.samples, flip)[BatchRequest([2], 0)]
    assert torch.equal(flipped.masks[0], masks.train_set.samples[2].masks.flip(1))


def test_what_belongs_to_an_object_stays_with_it_when_a_crop_drops_another() -> None:
    sample = DetectionBatch(
        images=torch.zeros(3, 32, 32, dtype=torch.uint8),
        boxes=torch.tensor([[0.0, 0, 9, 9], [20, 2, 30, 12], [18, 20, 28, 24]]),
        labels=torch.tensor([0, 1, 2]),
        ignore=torch.tensor([False, True, False]),
        sizes=torch.tensor([32, 32]),
        scale=torch.ones(2),
        ids=torch.tensor(7),
        areas=torch.tensor([81.0, 99, 40]),
    )
    crop = Augmentation([A.Crop(16, 0, 32, 32)])
    batch = MemorySamples([sample], crop)[BatchRequest([0], 0)]
    assert batch.boxes[0].tolist() == [[4, 2, 14, 12], [2, 20, 12, 24]]
    assert batch.labels.tolist() == [[1, 2]]
    assert batch.ignore.tolist() == [[True, False]]
    assert batch.areas.tolist() == [[99, 40]]
    assert batch.sizes.tolist() == [[32, 16]]
    assert batch.ids.tolist() == [0]  # the position among these samples


def test_images_are_counted_with_each_of_their_classes() -> None:
    data = ShapesDataModule("detection", train_size=20, image_size=(32, 32), max_objects=4)
    data.setup("fit")
    counts = data.class_counts()
    assert isinstance(data.train_set, MemorySamples)
    assert counts.images == 20
    for label in range(4):
        assert counts.with_class[label] == sum(label in sample.labels for sample in data.train_set.samples)
    assert counts.with_class.sum() > 20


def test_no_images_make_an_empty_batch() -> None:
    batch = make("none")[BatchRequest([], 0)]
    assert [tuple(field.shape) for field in batch] == [(0, 3, 32, 32), (0,), (0, 4), (0, 2), (0, 2), (0,)]


@pytest.mark.unchecked
def test_an_unknown_task_is_an_error() -> None:
    with pytest.raises(ArgumentError, match=r"task is 'localisation'\. Did you mean 'localization'"):
        ShapesDataModule("localisation")  # type: ignore[arg-type]  # the point
