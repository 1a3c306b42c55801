import pytest
import torch

from visiontasks import ShapesDataModule
from visiontasks.data.datasets.memory_localization import MemoryLocalization
from visiontasks.data.datasets.shapes import ShapesDataset
from visiontasks.data.samplers import BatchRequest
from visiontasks.data.transforms import Augmentation
from visiontasks.errors import ArgumentError
from visiontasks.testing import check_datamodule

LOST: dict[str, object] = {"Affine": {"translate_percent": {"x": [1.0, 1.0], "y": [1.0, 1.0]}, "p": 1.0}}


@pytest.mark.parametrize("augmentation", ["none", "strong"])
def test_shapes_with_boxes_keep_the_contract(augmentation: str) -> None:
    check_datamodule(
        ShapesDataModule(
            "localization",
            train_size=6,
            val_size=4,
            test_size=3,
            size=(20, 24),
            augmentation=augmentation,  # type: ignore[arg-type]  # a literal
        )
    )


def test_images_labels_and_boxes_are_those_of_the_generator() -> None:
    data = ShapesDataModule("localization", train_size=5, val_size=2, size=(20, 24))
    data.setup("fit")
    batch = data.train_set[BatchRequest([3, 1], epoch=0)]
    for row, index in enumerate((3, 1)):
        sample = ShapesDataset(5, image_size=(20, 24), seed=0)[index]
        assert torch.equal(batch.images[row], sample.image)
        assert torch.equal(batch.boxes[row], sample.box)  # type: ignore[attr-defined]  # of localization
        assert batch.labels[row] == sample.label
    assert batch.ids.tolist() == [3, 1]


def make(augmentation: dict[str, object] | str, seed: int = 0) -> MemoryLocalization:
    samples = [ShapesDataset(4, image_size=32)[index] for index in range(4)]
    images = torch.stack([sample.image for sample in samples])
    labels = torch.tensor([sample.label for sample in samples])
    boxes = torch.stack([sample.box for sample in samples])
    changes = Augmentation.create("localization", augmentation)
    return MemoryLocalization(images, labels, boxes, changes, seed)


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


def test_no_images_make_an_empty_batch() -> None:
    batch = make("none")[BatchRequest([], 0)]
    assert [tuple(field.shape) for field in batch] == [(0, 3, 32, 32), (0,), (0, 4), (0, 2), (0, 2), (0,)]


@pytest.mark.unchecked
def test_an_unknown_task_is_an_error() -> None:
    with pytest.raises(ArgumentError, match=r"task is 'localisation'\. Did you mean 'localization'"):
        ShapesDataModule("localisation")  # type: ignore[arg-type]  # the point
