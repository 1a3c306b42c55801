import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer

from visiontasks import ClassificationBatch, ClassificationTask
from visiontasks.errors import CheckpointError
from visiontasks.tasks.checkpoint_io import SafeCheckpointIO

WEIGHTS = {"state_dict": {"weight": torch.arange(100_000.0)}}


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow beyond 64 KiB: only for a moment, since the report of the tests may go to a file, too."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


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
    with pytest.raises((OSError, RuntimeError)), full_disk():
        SafeCheckpointIO().save_checkpoint(WEIGHTS, path)
    assert SafeCheckpointIO().load_checkpoint(path) == {"state_dict": {}}
    assert [file.name for file in tmp_path.iterdir()] == ["a.ckpt"]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="file"):
        SafeCheckpointIO().save_checkpoint(WEIGHTS, tmp_path / "file" / "a.ckpt")


def test_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"a.ckpt' is damaged"):
        SafeCheckpointIO().load_checkpoint(path)


def test_a_trainer_saves_and_loads_with_it(
    fit: Callable[..., Trainer], batch: ClassificationBatch, tmp_path: Path
) -> None:
    task = ClassificationTask(3, backbone_options={"filters": (4,), "depth": 1})
    trainer = fit(task, [batch], max_epochs=1)
    assert type(trainer.strategy.checkpoint_io) is SafeCheckpointIO
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert fit(task, [batch], max_epochs=2, ckpt_path=tmp_path / "a.ckpt").global_step == 2
