"""Training that goes on in the middle of an epoch sees what it would have seen."""

import gc
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import Dataset

from visiontasks import ClassificationBatch, ClassificationTask, ShapesDataModule
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.loading.loader import BatchLoader
from visiontasks.data.loading.samplers import BatchRequest, EvaluationSampler, TrainingSampler
from visiontasks.data.loading.sharing import hand_over
from visiontasks.data.loading.workers import WORKER_TIMEOUT, outlive_a_stop
from visiontasks.errors import DataError, WorkerError

# To go on in another folder is the point.
pytestmark = pytest.mark.filterwarnings("ignore:(Checkpoint directory .* exists|The dirpath has changed):UserWarning")


class Requests:
    def __len__(self) -> int:
        return 10

    def __getitem__(self, request: BatchRequest) -> BatchRequest:
        return request


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("taken", [0, 1, 3, 5])
def test_a_loader_goes_on_behind_the_batches_that_were_taken(workers: int, taken: int) -> None:
    def make() -> BatchLoader:
        return BatchLoader(Requests(), TrainingSampler(range(10), 2, seed=1), workers)

    loader = make()
    loader.sampler.set_epoch(3)
    whole, iterator = list(loader), iter(loader)
    for _ in range(taken):
        next(iterator)
    state = loader.state_dict()
    assert state == {"epoch": 3, "batches": taken if taken else 5}
    state = {"epoch": 3, "batches": taken}
    resumed = make()
    resumed.load_state_dict(state)
    iterator = iter(resumed)
    resumed.sampler.set_epoch(3)  # as Lightning does, after iter
    assert list(iterator) == whole[taken:]
    assert list(resumed) == whole
    resumed.load_state_dict(state)
    resumed.sampler.set_epoch(4)
    assert len(list(resumed)) == 5


class TrainedIds(Callback):
    """Notes the images of each step."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []

    def on_train_batch_start(self, trainer: Trainer, task: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ANN401 - as in Lightning
        self.seen.append([trainer.current_epoch, batch_idx, *batch.ids.tolist()])


def run(folder: Path, workers: int, ckpt_path: Path | None, **options: Any) -> tuple[Trainer, TrainedIds]:  # noqa: ANN401 - of the Trainer
    ids = TrainedIds()
    every = ModelCheckpoint(folder, "{step}", save_top_k=-1, every_n_train_steps=1, enable_version_counter=False)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[every, ids],
        num_sanity_val_steps=0,
        **options,
    )
    task = ClassificationTask(4, backbone_options={"filters": [4], "depth": 1, "norm": "batch"})
    data = ShapesDataModule(
        train_size=12, val_size=3, image_size=(16, 16), batch_size=3, augmentation="default", num_workers=workers
    )
    trainer.fit(task, datamodule=data, ckpt_path=ckpt_path)
    return trainer, ids


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("validations", [1.0, 0.5])
def test_a_training_resumed_at_any_step_ends_with_the_same_weights(
    workers: int, validations: float, tmp_path: Path
) -> None:
    whole, ids = run(tmp_path / "whole", workers, None, val_check_interval=validations)
    weights = whole.lightning_module.state_dict()
    for step in range(1, 12):
        resumed, rest = run(
            tmp_path / f"{step}", workers, tmp_path / "whole" / f"step={step}.ckpt", val_check_interval=validations
        )
        assert rest.seen == ids.seen[step:], step
        assert resumed.global_step == 12
        found = resumed.lightning_module.state_dict()
        assert all(torch.equal(value, found[name]) for name, value in weights.items()), step


class Failing(Dataset[ClassificationBatch]):
    """Its worker dies, or raises, at the second image."""

    def __init__(self, fail: Callable[[], object]) -> None:
        self.fail = fail

    def __len__(self) -> int:
        return 3

    def __getitem__(self, request: BatchRequest) -> ClassificationBatch:
        if request.indices[0] == 1:
            self.fail()
        count = len(request.indices)
        return ClassificationBatch(
            torch.zeros(count, 3, 4, 4), torch.zeros(count).long(), torch.tensor(request.indices)
        )


def two_lines() -> None:
    message = "'1.png' is broken:\n  visiontasks.errors.DataError: is in its name."
    raise DataError(message)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_the_data_set_is_the_same_from_a_worker(workers: int) -> None:
    dataset = Failing(two_lines)
    with pytest.raises(DataError) as raised:
        list(BatchLoader(dataset, EvaluationSampler(dataset, 1), workers))
    assert str(raised.value) == "'1.png' is broken:\n  visiontasks.errors.DataError: is in its name."


@pytest.mark.parametrize("name", ["SIGBUS", "SIGKILL"])
def test_a_worker_that_dies_is_an_error_with_what_to_do(name: str) -> None:
    dataset = Failing(lambda: os.kill(os.getpid(), getattr(signal, name)))
    with pytest.raises(WorkerError, match=r"(?s)A worker process ended \(DataLoader worker .*num_workers=0"):
        list(BatchLoader(dataset, EvaluationSampler(dataset, 1), 1))


def test_batches_of_workers_lie_in_shared_memory() -> None:
    dataset = Failing(lambda: None)
    (batch,) = BatchLoader(dataset, EvaluationSampler(dataset, 3), 1)
    assert all(field.is_shared() for field in batch)
    assert not dataset[BatchRequest([0], 0)].images.is_shared()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_trainer_predicts_the_test_images(workers: int, make_trainer: Callable[..., Trainer]) -> None:
    data = ShapesDataModule(
        train_size=4, val_size=2, test_size=5, image_size=(16, 16), batch_size=2, num_workers=workers
    )
    task = ClassificationTask(4, backbone_options={"filters": [4], "depth": 1}).eval()
    found = make_trainer().predict(task, datamodule=data) or []
    probabilities = torch.cat([batch.probabilities for batch in found])  # type: ignore[union-attr]  # not several loaders
    images = torch.cat([batch.images for batch in data.test_dataloader()])
    torch.testing.assert_close(probabilities, task.predict(task(images)).probabilities)


def test_a_loader_is_set_up_for_whole_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = MemoryDataset(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.arange(4))
    sampler = EvaluationSampler(dataset, 2)
    alone, helped = BatchLoader(dataset, sampler, timeout=9), BatchLoader(dataset, sampler, 2, timeout=9)
    assert (alone.timeout, helped.timeout) == (0, 9)
    assert (alone.persistent_workers, helped.persistent_workers) == (False, True)
    assert alone.collate_fn is helped.collate_fn is hand_over
    assert helped.worker_init_fn is outlive_a_stop
    assert alone.batch_size is None
    assert BatchLoader(dataset, sampler, 1).timeout == WORKER_TIMEOUT
    for available in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert BatchLoader(dataset, sampler).pin_memory is available


def test_workers_end_of_their_own_accord_with_a_loader_that_is_garbage() -> None:
    loader: Any = BatchLoader(Requests(), EvaluationSampler(range(4), 2), 2)
    loader.itself = loader
    assert len(list(loader)) == len(list(loader)) == 2  # by the same workers
    workers = loader._iterator._workers
    del loader
    gc.collect()
    assert [worker.exitcode for worker in workers] == [0, 0]
