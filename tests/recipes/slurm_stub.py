"""SLURM on one machine, for tests: ``sbatch``, ``srun`` and ``scontrol``, as far as the scripts use them.

Usage: ``python slurm_stub.py sbatch|srun|scontrol WORDS``. The folder of the variable SLURM_STUB gets what was called:
``steps`` has a JSON line for each step, with its command, number of tasks and process group; ``requeued`` a line for
each request. An unknown option is an error, as with SLURM.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

FOLDER = Path(os.environ.get("SLURM_STUB", "."))  # pytest imports this file, too, to look for examples


def sbatch(words: list[str]) -> int:
    """Run a job to its end, again for each time that it is queued again, and one after the other those of an array."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("job-name", "nodes", "ntasks-per-node", "gpus-per-node", "cpus-per-task", "time", "output", "array"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--signal")
    parser.add_argument("--open-mode", choices=["append"])
    parser.add_argument("--requeue", action="store_true")
    parser.add_argument("script", type=Path)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    asked = parser.parse_args(words)
    lines = re.findall(r"^#SBATCH (.+)$", asked.script.read_text(), re.MULTILINE)
    options = parser.parse_args([*lines, *words])
    assert options.signal == "SIGUSR1@120"
    assert options.requeue
    assert options.open_mode == "append"
    first = int(os.environ.get("SLURM_STUB_JOB", "77"))
    if options.array is None:
        return _job(options, {"SLURM_JOB_ID": str(first)})
    begin, end = map(int, options.array.split("-"))
    codes = [
        _job(
            options,
            {
                "SLURM_JOB_ID": str(first + number),
                "SLURM_ARRAY_JOB_ID": str(first),
                "SLURM_ARRAY_TASK_ID": str(number),
            },
        )
        for number in range(begin, end + 1)
    ]
    return max(codes)


def _job(options: argparse.Namespace, variables: dict[str, str]) -> int:
    job, nodes = variables["SLURM_JOB_ID"], int(options.nodes)
    name = os.environ.get("SLURM_STUB_NAME", options.job_name)
    environment = {
        **os.environ,
        **variables,
        "SLURM_JOB_NAME": name,
        "SLURM_NNODES": str(nodes),
        "SLURM_NTASKS": str(nodes * int(options.ntasks_per_node)),
        "SLURM_NTASKS_PER_NODE": options.ntasks_per_node,
        "SLURM_CPUS_PER_TASK": options.cpus_per_task,
        "SLURM_NODELIST": ",".join(["localhost"] * nodes),
    }
    output = Path(options.output.replace("%x", name).replace("%j", job))
    for restart in range(10):
        environment["SLURM_RESTART_COUNT"] = str(restart)
        before = _requeued(job)
        with output.open("a") as file:
            process = subprocess.Popen(
                ["bash", options.script, *options.arguments], env=environment, stdout=file, stderr=file
            )
        while process.poll() is None:
            if _requeued(job) > before:
                # A job that is queued again is ended.
                with suppress(ProcessLookupError):
                    os.killpg(json.loads(_lines("steps")[-1])["group"], signal.SIGTERM)
                process.wait()
            time.sleep(0.05)
        if _requeued(job) == before:
            return process.returncode
    return 1


def srun(words: list[str]) -> int:
    """Start the tasks of a step; one that fails ends the others, if that is asked for."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("nodes", "ntasks", "ntasks-per-node", "cpus-per-task"):
        variable = {"nodes": "SLURM_NNODES"}.get(name, f"SLURM_{name.upper().replace('-', '_')}")
        parser.add_argument(f"--{name}", type=int, default=int(os.environ[variable]))
    parser.add_argument("--kill-on-bad-exit", type=int, default=0)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(words)
    tasks: list[subprocess.Popen[bytes]] = []
    for number in range(options.ntasks):
        environment = {
            **os.environ,
            "SLURM_PROCID": str(number),
            "SLURM_LOCALID": str(number % options.ntasks_per_node),
            "SLURM_NODEID": str(number // options.ntasks_per_node),
            "SLURM_NTASKS": str(options.ntasks),
            "SLURM_NTASKS_PER_NODE": str(options.ntasks_per_node),
        }
        group = tasks[0].pid if tasks else 0
        tasks.append(subprocess.Popen(options.command, env=environment, process_group=group))
    step = {"command": options.command, "tasks": options.ntasks, "group": tasks[0].pid}
    with (FOLDER / "steps").open("a") as file:
        file.write(json.dumps(step) + "\n")
    while None in (codes := [task.poll() for task in tasks]):
        if options.kill_on_bad_exit and any(codes):
            os.killpg(tasks[0].pid, signal.SIGKILL)
        time.sleep(0.05)
    return max(128 - code if code < 0 else code for code in codes if code is not None)


def scontrol(words: list[str]) -> int:
    """Note a request to queue a job again; it takes a while, as a busy controller does."""
    (action, job) = words
    assert action == "requeue"
    time.sleep(1)
    with (FOLDER / "requeued").open("a") as file:
        file.write(job + "\n")
    return 0


def _requeued(job: str) -> int:
    return _lines("requeued").count(job)


def _lines(name: str) -> list[str]:
    file = FOLDER / name
    return file.read_text().splitlines() if file.exists() else []


if __name__ == "__main__":
    program, *arguments = sys.argv[1:]
    sys.exit({"sbatch": sbatch, "srun": srun, "scontrol": scontrol}[program](arguments))
