import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from visiontasks.errors import CheckpointError
from visiontasks.runs import best_checkpoint, checkpoints_in, is_run_folder, newest_checkpoint, resolve_checkpoint


def save(path: Path, step: int, best: str | None = None, monitor: str | None = "val/accuracy", time: int = 0) -> Path:
    """Save a small checkpoint of a training step, in which a callback knows the best file."""
    states: dict[str, Any] = {
        "Other": [1],
        "ModelCheckpoint{None}": {"monitor": None, "best_model_path": "/x/last.ckpt"},
    }
    if best is not None:
        states["ModelCheckpoint"] = {"monitor": monitor, "best_model_path": f"/before/checkpoints/{best}"}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"global_step": step, "callbacks": states, "state_dict": {"w": torch.arange(1000.0)}}, path)
    os.utime(path, (time, time))
    return path


def damage(path: Path) -> None:
    """Flip a bit of a tensor, and leave the time of the last change as it is."""
    content, status = bytearray(path.read_bytes()), path.stat()
    content[content.index(torch.arange(1000.0).numpy().tobytes()) + 2000] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of 30 steps: the best at step 20, the last one, and one of a cluster in between."""
    folder = tmp_path / "runs" / "fit" / "version_0"
    place = folder / "checkpoints"
    save(place / "epoch1-val_accuracy0.9123.ckpt", 20, "epoch1-val_accuracy0.9123.ckpt", time=3)
    save(place / "last.ckpt", 30, "epoch1-val_accuracy0.9123.ckpt", time=1)
    save(folder / "hpc_ckpt_1.ckpt", 25, "epoch1-val_accuracy0.9123.ckpt", time=2)
    (folder / "config.yaml").write_text("a: 1")
    return folder


def names(folder: Path) -> list[str]:
    return [path.name for path in checkpoints_in(folder)]


def test_checkpoints_are_listed_by_their_steps(run: Path) -> None:
    assert names(run) == ["epoch1-val_accuracy0.9123.ckpt", "hpc_ckpt_1.ckpt", "last.ckpt"]
    save(run / "checkpoints" / "last-v1.ckpt", 40)
    (run / "checkpoints" / "notes.txt").write_text("no checkpoint")
    assert names(run)[-2:] == ["last.ckpt", "last-v1.ckpt"]
    assert names(run / "checkpoints") == ["epoch1-val_accuracy0.9123.ckpt", "last.ckpt", "last-v1.ckpt"]
    assert checkpoints_in(run / "nowhere") == []


def test_at_the_same_step_last_is_the_newest_then_time_decides(run: Path) -> None:
    for name, time in (("last-v2", 9), ("last-v1", 8), ("epoch2-val_accuracy0.9", 10)):
        save(run / "checkpoints" / f"{name}.ckpt", 30, time=time)
    assert names(run)[2:] == ["epoch2-val_accuracy0.9.ckpt", "last.ckpt", "last-v1.ckpt", "last-v2.ckpt"]


def test_a_damaged_one_is_placed_by_its_time(run: Path) -> None:
    for name, time in (("a", 0), ("b", 2)):
        file = save(run / f"{name}.ckpt", 0)
        file.write_bytes(b"half")
        os.utime(file, (time, time))
    assert names(run) == ["a.ckpt", "epoch1-val_accuracy0.9123.ckpt", "hpc_ckpt_1.ckpt", "b.ckpt", "last.ckpt"]


def test_the_best_is_the_one_that_training_considered_so(run: Path) -> None:
    best = run / "checkpoints" / "epoch1-val_accuracy0.9123.ckpt"
    save(run / "checkpoints" / "epoch2-val_accuracy0.8.ckpt", 29, best.name)
    assert best_checkpoint(run) == best
    # Wherever the run has been moved to, and if the newest checkpoint is cut off.
    moved = run.with_name("moved")
    shutil.move(run, moved)
    (moved / "checkpoints" / "last.ckpt").write_bytes(b"half")
    assert best_checkpoint(moved) == moved / "checkpoints" / best.name


def test_without_a_best_it_is_the_newest_that_is_kept(tmp_path: Path) -> None:
    save(tmp_path / "last.ckpt", 30, "gone.ckpt")
    assert best_checkpoint(tmp_path) == tmp_path / "last.ckpt"
    save(tmp_path / "hpc_ckpt_2.ckpt", 40)
    assert best_checkpoint(tmp_path) == tmp_path / "hpc_ckpt_2.ckpt"
    save(tmp_path / "epoch0.ckpt", 10)
    save(tmp_path / "epoch1.ckpt", 20, "last.ckpt", monitor=None)
    assert best_checkpoint(tmp_path) == tmp_path / "epoch1.ckpt"


def test_a_folder_without_checkpoints_is_named_with_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint in '.*': it is empty or missing\."):
        best_checkpoint(tmp_path)
    (tmp_path / "config.yaml").write_text("a: 1")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(CheckpointError, match=rf"no checkpoint in '{tmp_path}': it holds checkpoints/, config.yaml\."):
        best_checkpoint(tmp_path)
    for going_on in (False, True):
        with pytest.raises(CheckpointError, match=r"it holds checkpoints/, config\.yaml"):
            resolve_checkpoint(tmp_path, going_on=going_on)
    assert newest_checkpoint(tmp_path) is None


def test_a_training_that_saved_no_checkpoint_is_not_named_as_a_folder_to_give(tmp_path: Path) -> None:
    first = tmp_path / "version_0"
    first.mkdir()
    message = (
        rf"in '{tmp_path}': version_0 has none, because the training ended before it saved one, or still runs\. Give"
    )
    with pytest.raises(CheckpointError, match=message):
        resolve_checkpoint(tmp_path)
    (first / "config.yaml").write_text("a: 1")
    with pytest.raises(
        CheckpointError, match=r"it holds config\.yaml\. Its training ended before it saved one, or still"
    ):
        resolve_checkpoint(first)
    (tmp_path / "version_1").mkdir()
    with pytest.raises(CheckpointError, match=r": none of its 2 versions has one, because the training ended before"):
        resolve_checkpoint(tmp_path, going_on=True)


def test_the_newest_is_that_of_most_steps(run: Path) -> None:
    assert newest_checkpoint(run) == run / "checkpoints" / "last.ckpt"
    save(run / "hpc_ckpt_2.ckpt", 31)
    assert newest_checkpoint(run) == run / "hpc_ckpt_2.ckpt"


def test_a_damaged_newest_one_is_skipped_with_a_warning(run: Path) -> None:
    damage(run / "checkpoints" / "last.ckpt")
    warning = r"Damaged and skipped: '.*last.ckpt'. Used instead: '.*hpc_ckpt_1.ckpt', of step 25."
    with pytest.warns(UserWarning, match=warning):
        assert newest_checkpoint(run) == run / "hpc_ckpt_1.ckpt"
    (run / "hpc_ckpt_1.ckpt").write_bytes(b"half")
    with pytest.warns(UserWarning, match=r"last.ckpt', '.*hpc_ckpt_1.ckpt'. Used instead: '.*0.9123.ckpt', of step 20"):
        assert resolve_checkpoint(run, going_on=True) == run / "checkpoints" / "epoch1-val_accuracy0.9123.ckpt"
    damage(run / "checkpoints" / "epoch1-val_accuracy0.9123.ckpt")
    with pytest.raises(CheckpointError, match=rf"All checkpoints in '{run}' are damaged: '.*last.ckpt', '.*hpc_ckpt_1"):
        newest_checkpoint(run)


def test_a_damaged_older_one_is_not_spoken_of(run: Path) -> None:
    damage(run / "hpc_ckpt_1.ckpt")
    assert newest_checkpoint(run) == run / "checkpoints" / "last.ckpt"


def test_what_a_run_folder_is(run: Path, tmp_path: Path) -> None:
    assert is_run_folder(run)
    assert is_run_folder(str(run / "checkpoints"))
    assert not is_run_folder(run.parent)
    assert not is_run_folder(run / "config.yaml")
    assert not is_run_folder(tmp_path / "gone")


def test_files_and_addresses_stay_what_they_are(run: Path) -> None:
    file = run / "checkpoints" / "last.ckpt"
    assert resolve_checkpoint(file) == file
    assert resolve_checkpoint(str(run / "config.yaml"), going_on=True) == run / "config.yaml"
    assert resolve_checkpoint("s3://bucket/run/last.ckpt") == "s3://bucket/run/last.ckpt"


def test_a_folder_stands_for_its_best_or_newest(run: Path) -> None:
    best = run / "checkpoints" / "epoch1-val_accuracy0.9123.ckpt"
    assert resolve_checkpoint(str(run)) == best
    assert resolve_checkpoint(run, going_on=True) == run / "checkpoints" / "last.ckpt"
    # A folder of versions: the newest with a checkpoint, by number.
    for number in (2, 10):
        shutil.copytree(run, run.parent / f"version_{number}")
    (run.parent / "version_11" / "checkpoints").mkdir(parents=True)
    (run.parent / "version_old").mkdir()
    assert resolve_checkpoint(run.parent) == run.parent / "version_10" / "checkpoints" / best.name
    with pytest.raises(CheckpointError, match=r"no checkpoint in '.*runs': it holds fit/\. Give a run folder"):
        resolve_checkpoint(run.parent.parent)


def test_a_path_that_does_not_exist_is_an_error_with_near_names(run: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"There is no checkpoint '.*lst.ckpt'\. Did you mean 'last.ckpt'\? Nothing"
    ):
        resolve_checkpoint(run / "checkpoints" / "lst.ckpt")
    with pytest.raises(CheckpointError, match=r"version_1'\. Did you mean 'version_0'\?"):
        resolve_checkpoint(run.parent / "version_1", going_on=True)
    with pytest.raises(CheckpointError, match=r"fti/version_0'\. '.*runs' has no 'fti'\. Did you mean 'fit'\?"):
        resolve_checkpoint(run.parent.parent / "fti" / "version_0")
    with pytest.raises(CheckpointError, match=r"'s3:/bucket/a.ckpt'\. An address is given as text: pathlib.Path drops"):
        resolve_checkpoint(Path("s3://bucket/a.ckpt"))
