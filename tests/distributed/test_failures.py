"""When a process hangs or ends, the others end soon, with one message, and none is left."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("failing_script.py")

SECONDS = 25
"""The time-out; on a busy machine the second process needs most of it to start."""


def run(folder: Path, rank: int, how: str, when: str) -> tuple[int, str, float]:
    """Return the exit code, the output, and the seconds from the failure on; a hang ends the test."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, str(SCRIPT), str(rank), how, when, "--collective_timeout", str(SECONDS)]
    with subprocess.Popen(
        command,
        env=env,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            # The pipe is closed only when both processes have ended.
            output, _ = process.communicate(timeout=200)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    failed = re.search(rf"{how} at (\S+)", output)
    assert failed is not None, output
    return process.returncode, output, time.time() - float(failed[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "when", "place"),
    [
        ("sleep", "train", r"to average the gradients \(step 1, epoch 0, stage 'train'\)"),
        ("sleep", "val", r"in (barrier|all_reduce) of \w+ \(.*, line \d+\) \(step 4, epoch 0, stage 'validate'\)"),
    ],
)
def test_a_process_that_hangs_ends_the_other_with_what_it_waited_for(
    how: str, when: str, place: str, tmp_path: Path
) -> None:
    code, output, seconds = run(tmp_path, 1, how, when)
    assert code == 2, output
    assert re.search(
        rf"^error: Process 0 of 2 waited for {SECONDS} s for another one {place}, which did not come\. "
        rf".*--collective_timeout SECONDS",
        output,
        re.MULTILINE,
    ), output
    assert "Traceback" not in output
    assert SECONDS - 1 < seconds < SECONDS + 20


@pytest.mark.slow
@pytest.mark.parametrize("how", ["die", "raise"])
def test_a_process_that_ends_ends_the_other(how: str, tmp_path: Path) -> None:
    code, output, seconds = run(tmp_path, 1, how, "train")
    # Lightning kills the first process if it has not ended by the time that Lightning sees the end of the second.
    assert code in (2, -signal.SIGKILL), output
    assert re.search(
        r"^error: Process 0 of 2 waited for another one to average .*, which ended\.", output, re.MULTILINE
    )
    assert ("KeyError: 'raise'" in output) == (how == "raise")
    assert seconds < 20


@pytest.mark.slow
def test_the_first_process_ends_when_it_hangs_itself(tmp_path: Path) -> None:
    code, output, seconds = run(tmp_path, 0, "sleep", "train")
    assert code == -signal.SIGKILL, output
    assert re.search(rf"error: Process 1 of 2 waited for {SECONDS} s for another one to average the gradients", output)
    assert seconds < SECONDS + 20
