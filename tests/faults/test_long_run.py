"""Nothing grows over 1,000 epochs."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.launch import ROOT

EPOCHS = 1000
COMMAND = (
    "fit --data.train_size 16 --data.val_size 8 --data.test_size 4 --data.batch_size 8 --data.image_size [16,16] "
    "--model.backbone_options.filters [4] --model.backbone_options.depth 1 --trainer.accelerator cpu "
    f"--trainer.enable_model_summary false --trainer.max_epochs {EPOCHS}"
)


class _State(NamedTuple):
    """What a process uses after some epochs."""

    epoch: int
    mebibytes: float
    open_files: int
    threads: int
    files: int


def look(pid: int, folder: Path) -> _State | None:
    """Look at a process; None before its first epoch."""
    metrics = folder / "metrics.csv"
    if not metrics.exists():
        return None
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    epoch = int(metrics.read_text().splitlines()[-1].split(",")[0] or 0) if metrics.stat().st_size > 200 else 0
    return _State(
        epoch,
        int(status["VmRSS"].split()[0]) / 1024,
        len(list(Path(f"/proc/{pid}/fd").iterdir())),
        int(status["Threads"]),
        sum(path.is_file() for path in folder.rglob("*")),
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_files_and_threads_stay_flat(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "visiontasks", *COMMAND.split()]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    states: list[_State] = []
    with (
        (tmp_path / "output.txt").open("w") as output,
        subprocess.Popen(command, cwd=tmp_path, env=env, stdout=output, stderr=output) as process,
    ):
        while process.poll() is None:
            time.sleep(0.5)
            with suppress(OSError, ValueError, KeyError):  # it has just ended, or writes a row
                state = look(process.pid, tmp_path / "runs" / "fit" / "version_0")
                states += [] if state is None else [state]
    assert process.returncode == 0, (tmp_path / "output.txt").read_text()
    early = [state for state in states if 200 <= state.epoch < 300]
    late = [state for state in states if state.epoch >= 900]
    assert early
    assert late
    print(early[0], late[-1])
    assert late[-1].mebibytes < 1.02 * max(state.mebibytes for state in early) + 8
    # A file that is being written may be among them.
    for name in ("open_files", "threads", "files"):
        before, after = (max(getattr(state, name) for state in states) for states in (early, late))
        assert after <= before + 2, f"{name}: {before} after {early[-1].epoch} epochs, {after} after {late[-1].epoch}"
