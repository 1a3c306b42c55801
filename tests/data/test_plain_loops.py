"""Data in loops of a user's own, and data modules that have only what a fit needs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, TensorDataset

from tests.data.test_vision_data import Noise, ids_of, prepared
from visiontasks import ClassificationTask, VisionDataModule
from visiontasks.data.loading.samplers import BatchRequest, TrainingSampler
from visiontasks.errors import ArgumentError
from visiontasks.testing import check_datamodule


class Bare(VisionDataModule):
    """Only what a fit needs: two plain loaders of pairs, and what describes the images."""

    class_names = ["dark", "bright"]  # type: ignore[assignment]  # noqa: RUF012 - as a user may write it
    in_channels = 2
    image_size = (6, 5)

    def setup(self, stage: str) -> None:
        images = torch.rand(8, 2, 6, 5)
        self.pairs = TensorDataset(images, (images.mean((1, 2, 3)) > 0.5).long())

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.pairs, batch_size=4, shuffle=True)

    def val_dataloader(self) -> Any:  # noqa: ANN401 - several loaders
        return [DataLoader(self.pairs, batch_size=4), DataLoader(self.pairs, batch_size=3)]


def test_the_contract_asks_for_nothing_that_a_fit_does_not_need(make_trainer: Callable[..., Trainer]) -> None:
    check_datamodule(Bare())
    task = ClassificationTask(2, in_channels=2, backbone_options={"filters": [4], "depth": 1})
    make_trainer(max_epochs=1).fit(task, Bare())
    task = ClassificationTask(2, in_channels=2, backbone_options={"filters": [4], "depth": 1}, normalization="dataset")
    with pytest.raises(ArgumentError, match=r"Bare does not measure its pixels, .*: override statistics, or use"):
        make_trainer(max_epochs=1).fit(task, Bare())


def test_a_sampler_with_weights_and_a_single_image_keep_the_contract() -> None:
    class Weighted(Noise):
        def train_sampler(self) -> TrainingSampler:
            return TrainingSampler(self.train_set, self.batch_size, weights=np.arange(1.0, 1 + self.train_size))

    check_datamodule(Weighted())
    check_datamodule(Noise(train_size=1, batch_size=1))
    check_datamodule(Noise(train_size=2, batch_size=2))


@pytest.mark.parametrize("kept", [True, False])
def test_each_pass_of_a_plain_loop_is_the_next_epoch(kept: bool) -> None:
    data = prepared(batch_size=3)
    loader = data.train_dataloader()
    passes = [ids_of(loader if kept else data.train_dataloader()) for _ in range(4)]
    again = prepared(batch_size=3).train_dataloader()
    for epoch, ids in enumerate(passes):
        again.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # a TrainingSampler
        assert ids_of(again) == ids_of(again) == ids
    assert len({str(ids) for ids in passes}) == 4
    # Where epochs are set, as by a Trainer, another loader begins from the start, as it did.
    data = prepared(batch_size=3)
    data.train_dataloader().sampler.set_epoch(3)  # type: ignore[attr-defined]
    assert ids_of(data.train_dataloader()) == passes[0]


def test_a_plain_loop_goes_on_where_it_was() -> None:
    data = prepared(batch_size=3)
    whole = [ids_of(data.train_dataloader()) for _ in range(4)]
    for epoch, taken in ((0, 1), (1, 2), (1, 3), (0, 3)):
        first, later = prepared(batch_size=3), prepared(batch_size=3)
        for _ in range(epoch):
            ids_of(first.train_dataloader())
        for _ in zip(range(taken), first.train_dataloader(), strict=False):
            pass
        later.load_state_dict(first.state_dict())
        loader = later.train_dataloader()
        rest = ids_of(loader)
        assert rest == (whole[epoch][taken:] or whole[epoch + 1]), (epoch, taken)
        assert ids_of(loader) == whole[epoch + 1 + (taken == 3)]


def test_a_number_gives_a_sample() -> None:
    data = prepared()
    images, labels, ids = data.train_set[2]
    assert (images.shape, labels.shape, int(ids)) == ((2, 6, 5), (), 2)
    assert torch.equal(data.train_set[-1].images, data.train_set[BatchRequest([8], 0)].images[0])
    assert len(list(data.val_set)) == 7  # type: ignore[call-overload]  # as a sequence, up to the IndexError
    with pytest.raises(IndexError):
        data.train_set[9]
