import torch
from lightning.pytorch.utilities import move_data_to_device

from visiontasks import ClassificationBatch, ShapesDataModule
from visiontasks.types import DataDescription


def test_lightning_moves_a_batch_as_what_it_is() -> None:
    batch = ClassificationBatch(torch.zeros(1, 3, 2, 2), torch.tensor([1]), torch.tensor([0]))
    moved = move_data_to_device(batch, torch.device("meta"))
    assert type(moved) is ClassificationBatch
    assert all(field.is_meta for field in moved)


def test_a_data_module_describes_its_data() -> None:
    assert isinstance(ShapesDataModule(), DataDescription)
    assert not isinstance(object(), DataDescription)
