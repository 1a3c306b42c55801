import math
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
from fsspec.implementations.memory import MemoryFile
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.io import AsyncCheckpointIO
from torch.utils.data import DataLoader

from tests.addresses import web_server
from tests.small_disk import full_disk
from visiontasks import ClassificationBatch, ClassificationTask, ShapesDataModule
from visiontasks.errors import ArgumentError, CheckpointError
from visiontasks.tasks.checkpoint_io import SafeCheckpointIO

WEIGHTS = {"state_dict": {"weight": torch.arange(100_000.0)}}


def test_what_is_saved_comes_back_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.ckpt"
    for _ in range(2):
        SafeCheckpointIO().save_checkpoint(WEIGHTS, path)
    loaded = SafeCheckpointIO().load_checkpoint(path)
    assert torch.equal(loaded["state_dict"]["weight"], WEIGHTS["state_dict"]["weight"])
    assert [file.name for file in path.parent.iterdir()] == ["a.ckpt"]


def test_a_full_disk_is_an_error_and_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    SafeCheckpointIO().save_checkpoint({"state_dict": {}}, path)
    with (
        pytest.raises(CheckpointError, match=r"a\.ckpt' could not be saved: File too large\. .* about 0\.4 MiB"),
        full_disk(),
    ):
        SafeCheckpointIO().save_checkpoint(WEIGHTS, path)
    assert SafeCheckpointIO().load_checkpoint(path) == {"state_dict": {}}
    assert [file.name for file in tmp_path.iterdir()] == ["a.ckpt"]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CheckpointError, match=r"file.* could not be saved: '.*file': File exists"):
        SafeCheckpointIO().save_checkpoint(WEIGHTS, tmp_path / "file" / "a.ckpt")


def test_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"a.ckpt' is damaged"):
        SafeCheckpointIO().load_checkpoint(path)


def test_parts_of_processes_that_are_gone_are_removed(tmp_path: Path) -> None:
    # A process that has ended, and whose number is therefore free.
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    ).stdout.strip()
    host = socket.gethostname().replace(".", "-")
    kept = {
        f".a.ckpt.{host}.{os.getppid()}.part",  # is running
        f".a.ckpt.another-{host}.{ended}.part",  # who knows, on another machine
        f".a.ckpt.{host}.{ended}.parts",
        f"a.ckpt.{host}.{ended}.part",
        f".{host}.{ended}.part",
    }
    removed = {f".a.ckpt.{host}.{ended}.part", f".epoch1-[0.9].ckpt.{host}.{ended}.part"}
    for name in kept | removed:
        (tmp_path / name).write_bytes(b"half")
    SafeCheckpointIO().save_checkpoint(WEIGHTS, tmp_path / "a.ckpt")
    assert {file.name for file in tmp_path.iterdir()} == kept | {"a.ckpt"}


def test_a_killed_save_leaves_nothing_that_the_next_one_does_not_remove(tmp_path: Path) -> None:
    code = f"""
import os, signal, torch
from visiontasks.tasks.checkpoint_io import SafeCheckpointIO
save = torch.save
def killed(content, file):
    save(content, file)
    os.kill(os.getpid(), signal.SIGKILL)
torch.save = killed
SafeCheckpointIO().save_checkpoint({{"state_dict": {{}}}}, {str(tmp_path / "a.ckpt")!r})
"""
    run = subprocess.run([sys.executable, "-c", code], check=False, timeout=120)
    assert run.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".part")
    SafeCheckpointIO().save_checkpoint(WEIGHTS, tmp_path / "b.ckpt")
    assert [file.name for file in tmp_path.iterdir()] == ["b.ckpt"]


def test_a_failed_remote_save_leaves_the_previous_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "memory://checkpoint_io/run/a.ckpt"
    SafeCheckpointIO().save_checkpoint({"state_dict": {}}, address)

    def fail(self: MemoryFile, content: bytes) -> int:
        super(MemoryFile, self).write(content[:1000])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFile, "write", fail, raising=False)
        with pytest.raises(OSError, match="No space"):
            SafeCheckpointIO().save_checkpoint(WEIGHTS, address)
    assert SafeCheckpointIO().load_checkpoint(address) == {"state_dict": {}}
    assert fsspec.filesystem("memory").ls("/checkpoint_io/run", detail=False) == ["/checkpoint_io/run/a.ckpt"]


SMALL = {"filters": (4,), "depth": 1}


def test_a_trainer_saves_and_loads_with_it(
    fit: Callable[..., Trainer], batch: ClassificationBatch, tmp_path: Path
) -> None:
    task = ClassificationTask(3, backbone_options=SMALL)
    trainer = fit(task, [batch], max_epochs=1)
    assert type(trainer.strategy.checkpoint_io) is SafeCheckpointIO
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert fit(task, [batch], max_epochs=2, ckpt_path=tmp_path / "a.ckpt").global_step == 2


class Command:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("plugins", [[], [AsyncCheckpointIO]], ids=["usual", "async"])
def test_a_trainer_runs_no_code_of_a_remote_checkpoint(
    plugins: list[type[AsyncCheckpointIO]], fit: Callable[..., Trainer], batch: ClassificationBatch, tmp_path: Path
) -> None:
    task = ClassificationTask(3, backbone_options=SMALL)
    path, mark = tmp_path / "a.ckpt", tmp_path / "mark"
    fit(task, [batch], max_epochs=1).save_checkpoint(path)
    memory = fsspec.filesystem("memory")

    def go_on(source: str | Path) -> Trainer:
        return fit(task, [batch], max_epochs=2, ckpt_path=source, plugins=[plugin() for plugin in plugins])

    with web_server(tmp_path) as (address, asked):
        assert go_on(f"{address}/a.ckpt").global_step == 2
        assert asked == ["/a.ckpt"]
        torch.save(torch.load(path) | {"extra": Command(mark)}, path)
        memory.pipe("/checkpoint_io/code.ckpt", path.read_bytes())
        for source in (f"{address}/a.ckpt", "memory://checkpoint_io/code.ckpt", path):
            with pytest.raises(CheckpointError, match=rf"'{source}' holds \w+.system"):
                go_on(source)
    assert not mark.exists()


def test_reading_unsafely_is_refused(
    make_trainer: Callable[..., Trainer], fit: Callable[..., Trainer], batch: ClassificationBatch, tmp_path: Path
) -> None:
    task = ClassificationTask(3, backbone_options=SMALL)
    fit(task, [batch], max_epochs=1).save_checkpoint(tmp_path / "a.ckpt")
    loader: DataLoader[Any] = DataLoader([batch], batch_size=None)  # type: ignore[arg-type]  # read like a Dataset
    with pytest.raises(ArgumentError, match="weights_only is False, which lets a checkpoint run any code"):
        make_trainer().validate(task, loader, ckpt_path=tmp_path / "a.ckpt", weights_only=False, verbose=False)


def test_a_run_folder_is_its_newest_to_train_and_its_best_to_test(
    fit: Callable[..., Trainer], batch: ClassificationBatch, make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    task = ClassificationTask(3, backbone_options=SMALL)
    for epochs, name in ((1, "epoch0.ckpt"), (3, "last.ckpt")):
        fit(task, [batch], max_epochs=epochs).save_checkpoint(run / "checkpoints" / name)
    loader: DataLoader[Any] = DataLoader([batch], batch_size=None)  # type: ignore[arg-type]  # read like a Dataset
    trainer = make_trainer(max_epochs=3, num_sanity_val_steps=0)
    trainer.fit(task, loader, loader, ckpt_path=run)
    assert trainer.global_step == 3
    newest = torch.load(run / "checkpoints" / "last.ckpt")["state_dict"]
    assert all(torch.equal(value, newest[name]) for name, value in task.state_dict().items())
    trainer.test(task, loader, ckpt_path=run, verbose=False)
    best = torch.load(run / "checkpoints" / "epoch0.ckpt")["state_dict"]
    assert all(torch.equal(value, best[name]) for name, value in task.state_dict().items())


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"state_dict": {"head.weight": torch.tensor([1.0, math.nan])}}, r"not finite: head\.weight\. What was"),
        ({"state_dict": {f"layer{i}": torch.tensor(math.inf) for i in range(5)}}, "layer1, layer2 and 2 others"),
        ({"current_model_state": {"bias": torch.full((2,), -math.inf)}}, "not finite: bias"),
        (
            {"optimizer_states": [{"state": {3: {"exp_avg": torch.tensor([math.nan])}}}]},
            "exp_avg of the optimiser's parameter 3",
        ),
    ],
)
def test_what_is_not_finite_is_refused_and_the_previous_checkpoint_stays(
    part: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.ckpt"
    SafeCheckpointIO().save_checkpoint(WEIGHTS, path)
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=message):
        SafeCheckpointIO().save_checkpoint(WEIGHTS | part, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.ckpt"]


def test_what_is_large_or_no_weight_may_be_saved(tmp_path: Path) -> None:
    values = {
        # The square overflows.
        "large": torch.tensor([1e30, -1e30]),
        "half": torch.full((9,), 6e4, dtype=torch.float16),
        "empty": torch.zeros(0),
        "count": torch.tensor(3),
        "mask": torch.tensor([0.0, -math.inf]),
    }
    checkpoint = {"state_dict": values, "callbacks": {"EarlyStopping": {"best_score": torch.tensor(math.inf)}}}
    SafeCheckpointIO(["mask"]).save_checkpoint(checkpoint, tmp_path / "a.ckpt")
    assert (tmp_path / "a.ckpt").exists()


def test_a_buffer_that_is_meant_to_be_infinite_is_saved(make_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    task = ClassificationTask(4, backbone_options={"filters": [4], "depth": 1})
    task.register_buffer("mask", torch.tensor([0.0, -math.inf]))
    trainer = make_trainer(max_epochs=1)
    trainer.fit(task, datamodule=ShapesDataModule(train_size=2, val_size=1, image_size=(16, 16), batch_size=2))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    with torch.no_grad():
        task.head.linear.bias.fill_(math.nan)
    with pytest.raises(CheckpointError, match=r"not finite: head\.linear\.bias\."):
        trainer.save_checkpoint(tmp_path / "b.ckpt")
