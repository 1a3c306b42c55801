import math
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from visiontasks import ClassificationBatch, ClassificationTask, ShapesDataModule
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


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"state_dict": {"head.weight": torch.tensor([1.0, math.nan])}}, r"not finite: head\.weight\. What was"),
        ({"state_dict": {f"layer{i}": torch.tensor(math.inf) for i in range(5)}}, "layer0, layer1, layer2 and 2 more"),
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
