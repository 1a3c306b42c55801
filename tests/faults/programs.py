"""Programs as a user starts them, in processes of their own, with a hand on them while they run."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]

Program = subprocess.Popen[bytes]


def plain_environment() -> dict[str, str]:
    """Variables of a program: of no cluster and no tracker, with this source and this Python, and one thread."""
    kept = {name: value for name, value in os.environ.items() if not re.match("(SLURM|WANDB|PYTEST|COV)", name)}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "JAXTYPING_DISABLE": "1",
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }


def run(
    words: list[str],
    folder: Path,
    environment: dict[str, str],
    during: Callable[[Program], None] | None = None,
    timeout: float = 600,
) -> int:
    """Run a program to its end.

    Args:
        words: The command line.
        folder: Working folder; ``output.txt`` in it gets what is printed.
        environment: All variables.
        during: Called with the program once it runs.
        timeout: Seconds after which it counts as hanging.

    Returns:
        The exit code; that of a signal is negative.
    """
    folder.mkdir(exist_ok=True)
    with (folder / "output.txt").open("a") as output:
        program = subprocess.Popen(
            words, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        if during is not None:
            during(program)
        return program.wait(timeout)
    finally:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)
