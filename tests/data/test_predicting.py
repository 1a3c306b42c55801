"""Writers of predictions get the indices of the images."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch.utils.data import DataLoader

from visiontasks import ClassificationTask, ShapesDataModule


class Writer(BasePredictionWriter):
    """Keeps what it is given."""

    def __init__(self, interval: Literal["batch", "epoch", "batch_and_epoch"]) -> None:
        super().__init__(interval)
        self.batches: list[tuple[Any, list[int], list[int]]] = []
        self.epoch: list[tuple[Any, Any]] = []

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,  # noqa: ANN401 - as in Lightning
        batch_indices: Sequence[int] | None,
        batch: Any,  # noqa: ANN401 - as in Lightning
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        ids = batch.ids.tolist() if hasattr(batch, "ids") else []
        self.batches.append((prediction, list(batch_indices or []), ids))

    def write_on_epoch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        predictions: Sequence[Any],
        batch_indices: Sequence[Any],
    ) -> None:
        self.epoch.append((predictions, batch_indices))


def task() -> ClassificationTask:
    return ClassificationTask(4, backbone_options={"filters": [4], "depth": 1}).eval()


def shapes(**options: Any) -> ShapesDataModule:  # noqa: ANN401 - arguments of the data module
    return ShapesDataModule(train_size=4, val_size=3, test_size=5, image_size=(16, 16), batch_size=2, **options)


@pytest.mark.parametrize(
    ("workers", "interval", "returned"),
    [(0, "batch", True), (0, "batch", False), (0, "epoch", True), (0, "epoch", False), (1, "batch_and_epoch", False)],
)
def test_a_writer_gets_the_indices_of_our_data(
    workers: int,
    interval: Literal["batch", "epoch", "batch_and_epoch"],
    returned: bool,
    make_trainer: Callable[..., Trainer],
) -> None:
    writer, data = Writer(interval), shapes(num_workers=workers)
    found = make_trainer(callbacks=[writer]).predict(task(), datamodule=data, return_predictions=returned)
    assert (found is not None) == returned
    if "batch" in interval:
        assert [indices for _, indices, _ in writer.batches] == [[0, 1], [2, 3], [4]]
        assert all(indices == ids for _, indices, ids in writer.batches)
    if "epoch" in interval:
        ((predictions, indices),) = writer.epoch
        assert indices == [[[0, 1], [2, 3], [4]]]
        assert [len(batch.labels) for batch in predictions] == [2, 2, 1]


def test_a_writer_gets_the_indices_of_each_loader(make_trainer: Callable[..., Trainer]) -> None:
    writer, data = Writer("batch_and_epoch"), shapes()
    data.setup("fit")
    data.setup("test")
    make_trainer(callbacks=[writer]).predict(task(), [data.test_dataloader(), data.val_dataloader()])
    assert [indices for _, indices, _ in writer.batches] == [[0, 1], [2, 3], [4], [0, 1], [2]]
    ((_, indices),) = writer.epoch
    assert indices == [[[0, 1], [2, 3], [4]], [[0, 1], [2]]]


def test_a_writer_gets_the_indices_of_a_loader_of_ones_own(make_trainer: Callable[..., Trainer]) -> None:
    writer = Writer("batch_and_epoch")
    pairs = [(torch.rand(3, 16, 16), torch.tensor(0)) for _ in range(5)]
    loader: Any = DataLoader(pairs, batch_size=2)  # type: ignore[arg-type]  # a list is read like a Dataset
    make_trainer(callbacks=[writer]).predict(task(), loader)
    assert [indices for _, indices, _ in writer.batches] == [[0, 1], [2, 3], [4]]
