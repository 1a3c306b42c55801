import torch
from lightning.pytorch.utilities import move_data_to_device

from visiontasks import ClassificationBatch, ShapesDataModule
from visiontasks.description import DataDescription
from visiontasks.types import labels_of


def test_lightning_moves_a_batch_as_what_it_is() -> None:
    batch = ClassificationBatch(torch.zeros(1, 3, 2, 2), torch.tensor([1]), torch.tensor([0]))
    moved = move_data_to_device(batch, torch.device("meta"))
    assert type(moved) is ClassificationBatch
    assert all(field.is_meta for field in moved)


def test_a_data_module_describes_its_data() -> None:
    assert isinstance(ShapesDataModule(), DataDescription)
    assert not isinstance(object(), DataDescription)


def test_labels_that_are_not_one_class_per_image_are_left_out() -> None:
    images = torch.zeros(2, 3, 4, 5, dtype=torch.uint8)
    several = ClassificationBatch(images, torch.ones(2, 4, dtype=torch.uint8), torch.arange(2))
    assert labels_of(several).tolist() == [-1, -1]
    assert labels_of(ClassificationBatch(images, torch.tensor([3, 1]), torch.arange(2))).tolist() == [3, 1]
