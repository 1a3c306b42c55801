from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from torch import Tensor
from torch.utils.data import DataLoader

from tests.addresses import web_server
from visiontasks import ClassificationTask, VisionDataModule
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.description import Statistics
from visiontasks.errors import ArgumentError, CheckpointError
from visiontasks.testing import check_datamodule
from visiontasks.types import ClassificationBatch


class Noise(VisionDataModule):
    """Data of a user: images of noise in two classes."""

    train_set: MemoryDataset

    def __init__(self, train_size: int = 9, **options: Any) -> None:  # noqa: ANN401 - arguments of VisionDataModule
        super().__init__(**options)
        self.train_size = train_size

    @property
    def class_names(self) -> tuple[str, ...]:
        return "dark", "bright"

    @property
    def in_channels(self) -> int:
        return 2

    @property
    def image_size(self) -> tuple[int, int]:
        return 6, 5

    def setup(self, stage: str) -> None:
        generator = torch.Generator().manual_seed(0)
        sets = []
        for size in (self.train_size, 7, 4):
            images = torch.randint(256, (size, 2, 6, 5), dtype=torch.uint8, generator=generator)
            sets.append(MemoryDataset(images, torch.arange(size) % 2))
        self.train_set, self.val_set, self.test_set = sets

    def statistics(self) -> Statistics:
        return self.train_set.statistics()


def ids_of(loader: DataLoader[Any]) -> list[list[int]]:
    return [batch.ids.tolist() for batch in loader]


def prepared(**options: Any) -> Noise:  # noqa: ANN401 - arguments of the data module
    data = Noise(**options)
    data.setup("fit")
    return data


@pytest.mark.parametrize("options", [{}, {"batch_size": 3, "eval_batch_size": 2}, {"batch_size": 1, "seed": 4}])
def test_data_of_a_user_keep_the_contract(options: dict[str, int]) -> None:
    check_datamodule(Noise(**options))


def test_evaluation_is_in_order_and_in_batches_of_its_own_size() -> None:
    data = prepared(batch_size=4, eval_batch_size=3)
    assert ids_of(data.val_dataloader()) == [[0, 1, 2], [3, 4, 5], [6]]
    assert ids_of(data.test_dataloader()) == ids_of(data.predict_dataloader()) == [[0, 1, 2], [3]]
    assert ids_of(prepared(batch_size=5).val_dataloader()) == [[0, 1, 2, 3, 4], [5, 6]]


def test_training_leaves_out_what_it_was_asked_to_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert [len(ids) for ids in ids_of(prepared(batch_size=4, drop_last=True).train_dataloader())] == [4, 4]
        assert [len(ids) for ids in ids_of(prepared(train_size=10, batch_size=4).train_dataloader())] == [4, 4, 2]
    assert caplog.messages == ["1 of 9 training images are left out of each epoch (others each time)."]


def test_the_seed_is_that_of_seed_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    assert Noise().seed == 0
    state = torch.random.get_rng_state()
    seed_everything(12, verbose=False)
    torch.random.set_rng_state(state)
    assert Noise().seed == 12
    assert Noise(seed=3).seed == 3
    orders = [str(ids_of(prepared(seed=seed).train_dataloader())) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.slow
def test_workers_prepare_the_same_batches() -> None:
    alone, helped = prepared(batch_size=3).train_dataloader(), prepared(batch_size=3, num_workers=2).train_dataloader()
    for epoch in range(2):
        for loader in (alone, helped):
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # a TrainingSampler
        for ours, theirs in zip(alone, helped, strict=True):
            assert isinstance(theirs, ClassificationBatch)
            assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"eval_batch_size": 0}, {"num_workers": -1}])
def test_sizes_that_cannot_be_are_an_error(options: dict[str, int]) -> None:
    (name, value), *_ = options.items()
    with pytest.raises(ArgumentError, match=rf"{name} (is )?{value}.*; expected sizes of at least 1"):
        Noise(**options)


class Unnamed(Noise):
    """Names its classes by a text."""

    @property
    def class_names(self) -> Any:  # noqa: ANN401 - what is wrong with it
        return "dark"


class Unshuffled(Noise):
    """Trains in the order of evaluation."""

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.train_set, sampler=FixedOrder(len(self.train_set)), batch_size=None)


class FixedOrder(list[BatchRequest]):
    """One batch of all samples in order."""

    def __init__(self, count: int) -> None:
        super().__init__([BatchRequest(list(range(count)), 0)])

    def set_epoch(self, epoch: int) -> None:
        """Change nothing."""


class Repeating(Noise):
    """Some validation images have the same id."""

    def setup(self, stage: str) -> None:
        super().setup(stage)
        images, labels, _ = self.train_set[BatchRequest([0, 1, 2], 0)]
        self.val_set = MemoryDataset(images, labels, torch.tensor([5, 6, 5]))


class Floats(Noise):
    """Its training images are floats in 0 to 255."""

    def setup(self, stage: str) -> None:
        super().setup(stage)

        def augmentation(images: torch.Tensor, ids: torch.Tensor, epoch: int) -> torch.Tensor:
            return images.float()

        self.train_set.augmentation = augmentation


class Untupled(Noise):
    """Trains on dictionaries."""

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader([{"image": torch.zeros(2, 6, 5)}])  # type: ignore[arg-type]  # read like a Dataset


class WrongStatistics(Noise):
    """Measures pixels in 0 to 255."""

    def statistics(self) -> Statistics:
        return super().statistics()._replace(mean=torch.tensor([127.0, 128.0]))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Unnamed, r"class_names is 'dark' for num_classes 4; expected one name per class"),
        (Unshuffled, "two epochs have the same training order"),
        (Repeating, r"validation sees the images \[5, 5, 6\]; expected each of 3 once"),
        (Floats, r"images are torch.float32 in .* to 2\d\d; expected uint8, or floats in 0 to 1"),
        (Untupled, "a batch is a dict; expected a NamedTuple with images, a pair of tensors or images"),
        (WrongStatistics, r"statistics\(\).mean is tensor\(\[127., 128.\]\); expected 2 values in 0 to 1"),
    ],
)
def test_what_breaks_the_contract_is_found(broken: type[Noise], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_datamodule(broken())


def test_arguments_of_data_load_as_in_lightning(tmp_path: Path) -> None:
    class Saving(Noise):
        def __init__(self, train_size: int = 9) -> None:
            super().__init__(train_size)
            self.save_hyperparameters()

    torch.save({"datamodule_hyper_parameters": {"train_size": 5}, "pytorch-lightning_version": "2.6.6"}, tmp_path / "a")
    for source in (tmp_path / "a", BytesIO((tmp_path / "a").read_bytes())):
        assert Saving.load_from_checkpoint(source, weights_only=True, map_location="cpu").train_size == 5
    with pytest.raises(ArgumentError, match="weights_only is False"):
        Saving.load_from_checkpoint(tmp_path / "a", weights_only=False)


def test_data_in_another_form_say_that_they_are_not_counted() -> None:
    data = prepared()
    assert data.class_counts().with_class.tolist() == [5, 4]
    data.train_set = ReversedRequests(data.train_set)  # type: ignore[assignment]  # of a user's own
    with pytest.raises(ArgumentError, match=r"Noise does not count its classes, .*: override class_counts, or give"):
        data.class_counts()


class ReversedRequests:
    """A data set of a user's own."""

    def __init__(self, dataset: MemoryDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, request: BatchRequest) -> ClassificationBatch:
        batch: ClassificationBatch = self.dataset[BatchRequest(request.indices[::-1], request.epoch)]
        return batch


def test_a_bank_is_of_training_images_that_are_not_augmented() -> None:
    data = Noise(train_size=9, eval_batch_size=2)
    data.setup("fit")
    data.train_set.augmentation = lambda images, ids, epoch: images * 0
    assert ids_of(data.unaugmented_dataloader()) == [[0, 1], [2, 3], [4, 5], [6, 7], [8]]
    assert ids_of(data.unaugmented_dataloader(4)) == [[0, 2], [4, 6]]
    assert ids_of(data.unaugmented_dataloader(20)) == ids_of(data.unaugmented_dataloader())
    pixels = torch.cat([batch.images for batch in data.unaugmented_dataloader()])
    assert torch.equal(pixels, data.train_set.pixels.permute(0, 3, 1, 2))
    assert data.train_set.augmentation is not None


def test_a_bank_is_read_where_only_tests_were_set_up() -> None:
    assert ids_of(Noise(train_size=3).unaugmented_dataloader()) == [[0, 1, 2]]


class Learner(ClassificationTask):
    """Notes the images of each training batch."""

    def on_fit_start(self) -> None:
        self.seen: list[list[int]] = []

    def training_step(self, batch: ClassificationBatch, batch_idx: int) -> Tensor:
        self.seen.append(batch.ids.tolist())
        return super().training_step(batch, batch_idx)


def learner() -> Learner:
    return Learner(2, in_channels=2, backbone_options={"filters": [4], "depth": 1})


def test_a_checkpoint_that_is_scored_leaves_the_next_training_whole(make_trainer: Callable[..., Trainer]) -> None:
    data = Noise(train_size=8, batch_size=2)
    first = make_trainer(max_epochs=1)
    first.fit(learner(), datamodule=data)
    first.save_checkpoint(path := Path(first.default_root_dir) / "one.ckpt")
    for score in (make_trainer().validate, make_trainer().test):
        score(learner(), datamodule=data, ckpt_path=str(path), verbose=False)
        task = learner()
        make_trainer(max_epochs=1).fit(task, datamodule=data)
        assert len(task.seen) == 4


class SavedNoise(Noise):
    """Saves its arguments."""

    def __init__(self, train_size: int = 9, **options: Any) -> None:  # noqa: ANN401 - as above
        super().__init__(train_size, **options)
        self.save_hyperparameters()


def test_data_come_back_from_the_checkpoint_of_any_address(
    make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    trainer = make_trainer(max_epochs=1)
    trainer.fit(learner(), datamodule=SavedNoise(6, batch_size=3))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    with web_server(tmp_path) as (address, _):
        for source in (tmp_path / "a.ckpt", f"{address}/a.ckpt"):
            data = SavedNoise.load_from_checkpoint(source, seed=5)
            assert (data.train_size, data.batch_size, data.seed) == (6, 3, 5)
        torch.save({"code": Path("code")}, tmp_path / "b.ckpt")
        with pytest.raises(CheckpointError, match=rf"'{address}/b.ckpt' holds pathlib"):
            SavedNoise.load_from_checkpoint(f"{address}/b.ckpt")


def test_overfit_batches_trains_on_the_same_images(make_trainer: Callable[..., Trainer]) -> None:
    task = learner()
    make_trainer(max_epochs=2, overfit_batches=2).fit(task, datamodule=Noise(train_size=9, batch_size=2))
    assert task.seen == [[0, 1], [2, 3]] * 2
