"""Workers that hang or die end a training soon, with one message, at any moment."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, Dataset

from tests.data.datamodules.image_sets import write_folders
from visiontasks import ClassificationBatch, ClassificationTask, FolderDataModule, ShapesDataModule
from visiontasks.data.loading.loader import BatchLoader
from visiontasks.data.loading.samplers import BatchRequest, EvaluationSampler, TrainingSampler
from visiontasks.data.loading.workers import _SECONDS_AFTER_SIGTERM, end_with
from visiontasks.errors import ArgumentError, WorkerError


class Hanging(Dataset[ClassificationBatch]):
    """Its worker sleeps for ever at one image, and leaves its number before."""

    def __init__(self, image: int, note: Path) -> None:
        self.image = image
        self.note = note

    def __len__(self) -> int:
        return 12

    def __getitem__(self, request: BatchRequest) -> ClassificationBatch:
        if self.image in request.indices:
            self.note.write_text(f"{os.getpid()}")
            time.sleep(10_000)
        indices = torch.tensor(request.indices)
        return ClassificationBatch(torch.zeros(len(indices), 3, 4, 4), indices % 4, indices)


@pytest.mark.parametrize("start", [pytest.param(0, marks=pytest.mark.slow), 3])
def test_a_worker_that_hangs_is_named_with_what_it_was_to_do(start: int, tmp_path: Path) -> None:
    sampler = TrainingSampler(range(12), 2, seed=1)
    sampler.set_epoch(4)
    hung = list(sampler)[3].indices
    dataset = Hanging(hung[1], tmp_path / "note")
    loader = BatchLoader(dataset, sampler, num_workers=2, timeout=6)  # a busy machine needs 4 s to start them
    if start:
        loader.load_state_dict({"epoch": 4, "batches": start})
    begin, taken = time.monotonic(), []
    with pytest.raises(WorkerError) as raised:
        taken += [batch.ids.tolist() for batch in loader]
    assert time.monotonic() - begin < 30
    number = (3 - start) % 2 + 1
    expected = (
        rf"Worker {number} of 2 \(process {(tmp_path / 'note').read_text()}\) has not answered for 6 s: it was to make "
        rf"a batch of the images {hung[0]}, {hung[1]} in epoch 4\. .*--data\.worker_timeout"
    )
    assert re.match(expected, str(raised.value)), raised.value


def test_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folders(tmp_path, 5, splits=("train", "val"))
    data = FolderDataModule(tmp_path, image_size=(16, 20), batch_size=4, num_workers=1, worker_timeout=0.5)
    data.setup("fit")
    monkeypatch.setattr(type(data.train_set), "__getitem__", lambda self, request: time.sleep(10_000))
    loader = data.train_dataloader()
    with pytest.raises(WorkerError, match=r"images (\d+ \(.*train.*png\), ){2}\d+ \(.*png\) and 1 others in epoch 0"):
        next(iter(loader))


def test_workers_that_are_slower_than_training_are_waited_for(tmp_path: Path) -> None:
    dataset = Hanging(-1, tmp_path)
    loader: Any = BatchLoader(dataset, EvaluationSampler(dataset, 3), num_workers=1, timeout=60)
    list(loader)  # starts the worker, which stays
    loader._iterator._timeout = 2
    taken = []
    for batch in loader:
        time.sleep(0.8)  # longer than the time-out in total
        taken += batch.ids.tolist()
    assert taken == list(range(12))


def test_a_negative_time_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"worker_timeout is -1; expected seconds, or 0"):
        ShapesDataModule(worker_timeout=-1)


def kill_a_worker(trainer: Trainer) -> None:
    """Kill a worker of the training loader, and go on with something else."""
    loader: Any = trainer.train_dataloader
    os.kill(loader._iterator._workers[0].pid, signal.SIGKILL)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        torch.rand(64, 64).matmul(torch.rand(64, 64))


class Kill(Callback):
    """Kills a worker in one of the hooks."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, lambda trainer, *_, **__: kill_a_worker(trainer))


class KillInSave(ModelCheckpoint):
    """Kills a worker while a checkpoint is saved."""

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        kill_a_worker(trainer)
        super()._save_checkpoint(trainer, filepath)


class KillInForward(ClassificationTask):
    """Kills a worker in the forward pass."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            kill_a_worker(self.trainer)
        return super().forward(images)


@pytest.mark.parametrize(
    "moment",
    [
        "forward",
        "save",
        pytest.param("on_after_backward", marks=pytest.mark.slow),
        pytest.param("on_validation_batch_start", marks=pytest.mark.slow),
    ],
)
def test_a_worker_that_dies_is_one_message_whatever_the_training_does(
    moment: str, make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    kind = KillInForward if moment == "forward" else ClassificationTask
    callbacks: list[Callback] = [] if moment == "forward" else [Kill(moment)]
    if moment == "save":
        callbacks = [KillInSave(tmp_path, every_n_train_steps=1)]
    trainer = make_trainer(
        max_epochs=2, num_sanity_val_steps=0, callbacks=callbacks, enable_checkpointing=moment == "save"
    )
    task = kind(4, backbone_options={"filters": [4], "depth": 1})
    data = ShapesDataModule(train_size=16, val_size=4, image_size=(16, 16), batch_size=2, num_workers=2)
    begin = time.monotonic()
    with pytest.raises(WorkerError, match=r"A worker process ended \(DataLoader worker \(pid .*Killed.*fewer workers"):
        trainer.fit(task, datamodule=data)
    assert time.monotonic() - begin < 60
    assert trainer.state.status == "interrupted"


@pytest.mark.parametrize("before", [None, signal.SIG_DFL])
def test_a_loader_of_ones_own_is_translated_too(before: signal.Handlers | None) -> None:
    if before is not None:
        signal.signal(signal.SIGCHLD, before)  # a Trainer that ends puts back what it found
    list(BatchLoader(Hanging(-1, Path()), EvaluationSampler(range(12), 6), 1))
    iterator: Any = iter(DataLoader(range(4), num_workers=1, persistent_workers=True))  # type: ignore[arg-type]  # a range is read like a Dataset
    next(iterator)
    os.kill(iterator._workers[0].pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="A worker process ended"):
        time.sleep(20)


LOOP = """
from visiontasks import ShapesDataModule

data = ShapesDataModule(train_size=4, val_size=2, image_size=(16, 16), batch_size=2, num_workers=1)
data.setup("fit")
kept = data.train_dataloader()
print(len(list(kept)), flush=True)
"""


def test_workers_of_a_plain_loop_end_with_the_script() -> None:
    # Terminated by multiprocessing, they would outlive it for the seconds in which a training saves a checkpoint.
    script = subprocess.Popen([sys.executable, "-c", LOOP], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert script.stdout is not None
    assert script.stdout.readline() == "2\n"
    start = time.monotonic()
    assert script.communicate(timeout=60)[1] == ""
    assert time.monotonic() - start < _SECONDS_AFTER_SIGTERM


class Stoppable:
    """Notes that its workers are ended."""

    ended = False

    def _shutdown_workers(self) -> None:
        self.ended = True


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_copy_of_the_process_does_not_end_the_workers() -> None:
    loader, iterator = Stoppable(), Stoppable()
    end_with(loader, iterator)
    copy = os.fork()
    if copy == 0:
        del loader
        os._exit(iterator.ended)
    assert os.waitpid(copy, 0)[1] == 0
    assert not iterator.ended
    del loader
    assert iterator.ended
