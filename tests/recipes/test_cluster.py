"""The scripts for clusters, run on this machine with stand-ins for SLURM."""

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.data.datamodules.image_sets import write_folders
from tests.faults.compare import assert_equal, rows_of, state_of
from tests.faults.launch import wait_for
from tests.faults.programs import ROOT, Program, plain_environment, run

CLUSTER = ROOT / "recipes" / "cluster"
TINY = (
    "--data.image_size [20,20] --data.batch_size 4 --model.backbone cnn --model.backbone_options.filters [4,8] "
    "--model.backbone_options.depth 1 --trainer.accelerator cpu --trainer.precision 32-true "
    "--trainer.log_every_n_steps 1 --trainer.enable_model_summary false --shown [] "
    "--report false --trainer.max_epochs 3 --trainer.callbacks+=tests.faults.pace.Pace"
)
SHAPES = f"{TINY} --data.train_size 66 --data.val_size 6 --data.test_size 4 --model.dropout 0.3"
TWO = ["--ntasks-per-node", "2", "--cpus-per-task", "1"]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Variables for the scripts, with the stand-ins on PATH."""
    programs, notes = tmp_path / "bin", tmp_path / "slurm"
    programs.mkdir()
    notes.mkdir()
    stub = Path(__file__).with_name("slurm_stub.py")
    for name in ("sbatch", "srun", "scontrol"):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {stub} {name} "$@"\n')
        (programs / name).chmod(0o755)
    plain = plain_environment()
    variables = {
        **plain,
        "PATH": f"{programs}:{plain['PATH']}",
        "SLURM_STUB": str(notes),
        "USER": "someone",
        "TMPDIR": str(notes),
        "PACE": "0",
    }
    yield variables
    for step in steps(variables):
        with suppress(ProcessLookupError):
            os.killpg(step["group"], signal.SIGKILL)


def printed(folder: Path) -> str:
    return "".join(file.read_text() for file in (*folder.glob("*.txt"), *folder.glob("*.out")))


def steps(environment: dict[str, str]) -> list[dict[str, Any]]:
    """The steps that srun has started."""
    file = Path(environment["SLURM_STUB"], "steps")
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.parametrize("script", ["train.slurm", "torchrun.sh"])
def test_a_script_is_valid_and_says_what_it_needs(script: str, tmp_path: Path, environment: dict[str, str]) -> None:
    assert subprocess.run(["bash", "-n", CLUSTER / script], check=False).returncode == 0
    given = {"SLURM_JOB_ID": "1", "SLURM_NTASKS_PER_NODE": "1", "SLURM_CPUS_PER_TASK": "1", "PROCESSES": "1"}
    assert run(["bash", str(CLUSTER / script)], tmp_path / "run", environment | given | {"RUN": "a"}) == 1
    assert "give a recipe, such as recipes/coco_detection.py, or fit" in printed(tmp_path / "run")


# In one write, because two processes print to one file.
PRINTER = "import os, sys; os.write(1, (' '.join(sys.argv[1:]) + chr(10)).encode())"


def test_jobs_of_an_array_are_runs_of_their_own(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "recipe.py").write_text(PRINTER)
    words = ["sbatch", "--array", "0-1", *TWO, str(CLUSTER / "train.slurm"), str(tmp_path / "recipe.py")]
    assert run([*words, "--seed_everything", "%a", "a b"], tmp_path / "run", environment) == 0
    for number in (0, 1):
        (line, again) = (tmp_path / "run" / f"visiontasks-{77 + number}.out").read_text().splitlines()
        assert line == again
        flags = "--trainer.devices 2 --trainer.num_nodes 1"
        assert line == f"--ckpt_path last --run visiontasks-77_{number} {flags} --seed_everything {number} a b"


LISTER = """
import os, pathlib, sys
root = pathlib.Path(sys.argv[sys.argv.index("--data.root") + 1])
os.write(1, " ".join([str(root), *sorted(str(path.relative_to(root)) for path in root.glob("**/*"))]).encode() + b"\\n")
"""


@pytest.mark.parametrize("kind", ["archive", "folder"])
def test_data_are_copied_once_to_each_node_and_removed(kind: str, tmp_path: Path, environment: dict[str, str]) -> None:
    source, disk = tmp_path / "data set", tmp_path / "disk"
    (source / "train").mkdir(parents=True)
    (source / "train" / "a b.txt").write_text("here")
    disk.mkdir()
    (disk / "someone-77.part").mkdir()
    (disk / "someone-77.part" / "half").write_text("of a copy that was interrupted")
    (disk / "someone-78").mkdir()
    data = source
    if kind == "archive":
        data = tmp_path / "data.tar.gz"
        with tarfile.open(data, "w:gz") as archive:
            archive.add(source, ".")
    (tmp_path / "recipe.py").write_text(LISTER)
    variables = environment | {"DATA": str(data), "SLURM_TMPDIR": str(disk)}
    words = ["sbatch", "--nodes", "2", *TWO, str(CLUSTER / "train.slurm"), str(tmp_path / "recipe.py")]
    assert run(words, tmp_path / "run", variables) == 0
    lines = (tmp_path / "run" / "visiontasks-77.out").read_text().splitlines()
    assert lines == [f"{disk / 'someone-77'} train train/a b.txt"] * 4
    copying, training, removing = steps(environment)
    assert (copying["tasks"], training["tasks"], removing["tasks"]) == (2, 4, 2)
    assert [path.name for path in disk.iterdir()] == ["someone-78"]
    # A copy that fails ends the job before it trains.
    assert run(words, tmp_path / "run", variables | {"DATA": str(tmp_path / "nothing.tar")}) != 0
    assert len(steps(environment)) == 5


def rows_in(run: Path) -> int:
    """Count the rows of the metrics of a run so far."""
    file = run / "version_0" / "metrics.csv"
    return len(file.read_text().splitlines()) - 1 if file.exists() else 0


def requeue(environment: dict[str, str], run: Path, rows: list[int]) -> Callable[[Program], None]:
    """Make what sends SLURM's signal to all processes of the training, at several numbers of rows of its metrics."""

    def send(job: Program) -> None:
        def reached(turn: int) -> bool:
            return job.poll() is not None or (len(steps(environment)) > turn and rows_in(run) >= rows[turn])

        for turn in range(len(rows)):
            wait_for(partial(reached, turn), 300)
            os.killpg(steps(environment)[turn]["group"], signal.SIGUSR1)

    return send


@pytest.mark.slow
def test_a_job_that_is_queued_again_three_times_ends_like_an_undisturbed_one(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    words = ["sbatch", *TWO, str(CLUSTER / "train.slurm"), "fit", *SHAPES.split(), "--data.num_workers", "1"]
    words += ["--model.lr_scheduler", "cosine", "--wandb", "cluster"]
    job, whole = tmp_path / "job", tmp_path / "whole"
    send = requeue(environment, job / "runs" / "visiontasks-77", [3, 10, 20])
    assert run(words, job, environment | {"PACE": "0.3"}, send) == 0, printed(job)
    assert (tmp_path / "slurm" / "requeued").read_text().split() == ["77"] * 3, printed(job)
    assert len(steps(environment)) == 4
    assert run([*words, "--run", "whole"], whole, environment) == 0, printed(whole)
    again, undisturbed = job / "runs" / "visiontasks-77" / "version_0", whole / "runs" / "whole" / "version_0"
    assert [path.name for one in (again, undisturbed) for path in one.parent.iterdir()] == ["version_0", "version_0"]
    assert_equal(state_of(undisturbed), state_of(again))
    assert rows_of(undisturbed) == rows_of(again)
    assert [row["epoch"] for row in rows_of(again) if "val/loss" in row] == ["0", "1", "2"]


@pytest.mark.slow
def test_two_nodes_train_on_their_copies(tmp_path: Path, environment: dict[str, str]) -> None:
    write_folders(tmp_path / "pictures", 8, splits=("train", "val"))
    one = ["--nodes", "2", "--ntasks-per-node", "1", "--cpus-per-task", "1"]
    words = ["sbatch", *one, str(CLUSTER / "train.slurm"), "fit", "--data", "FolderDataModule", *TINY.split()]
    variables = environment | {"DATA": str(tmp_path / "pictures"), "SLURM_STUB_NAME": "photos"}
    assert run(words, tmp_path, variables) == 0, printed(tmp_path)
    assert [step["tasks"] for step in steps(environment)] == [2, 2, 2]
    assert "Starting with 2 processes" in printed(tmp_path)
    (folder,) = (tmp_path / "runs" / "photos-77").iterdir()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["data"]["init_args"]["root"] == str(tmp_path / "slurm" / "someone-77")
    assert config["trainer"]["num_nodes"] == 2
    assert {path.name for path in (folder / "checkpoints").iterdir()} >= {"last.ckpt"}


APART = """
import os, pathlib, sys
from visiontasks.cli import main

folder = pathlib.Path("node-" + os.environ["SLURM_NODEID"])
folder.mkdir(exist_ok=True)
os.chdir(folder)
sys.exit(main(["fit", *sys.argv[1:]]))
"""


@pytest.mark.slow
def test_nodes_without_a_shared_disk_do_not_go_on_apart(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "recipe.py").write_text(APART)
    one = ["--nodes", "2", "--ntasks-per-node", "1", "--cpus-per-task", "1"]
    words = ["sbatch", *one, str(CLUSTER / "train.slurm"), str(tmp_path / "recipe.py"), *SHAPES.split()]
    assert run([*words, "--trainer.max_epochs", "1"], tmp_path, environment) == 0, printed(tmp_path)
    assert run(words, tmp_path, environment) != 0
    assert "error: Process 1 of 2 would train on from step 0, process 0 from step 8" in printed(tmp_path)


@pytest.mark.slow
def test_torchrun_goes_on_after_a_stop_and_after_a_killed_process(tmp_path: Path, environment: dict[str, str]) -> None:
    words = [str(CLUSTER / "torchrun.sh"), "fit", *SHAPES.split()]
    variables = environment | {"RUN": "a", "PROCESSES": "2"}
    folder, whole = tmp_path / "stopped", tmp_path / "whole"

    def stop(program: Program) -> None:
        wait_for(lambda: program.poll() is not None or rows_in(folder / "runs" / "a") >= 3, 300)
        program.terminate()

    def kill(program: Program) -> None:
        wait_for(lambda: program.poll() is not None or rows_in(folder / "runs" / "a") >= 12, 300)
        os.kill(int((folder / "training-1").read_text()), signal.SIGKILL)

    assert run(words, folder, variables | {"PACE": "0.3"}, stop) == 1
    assert printed(folder).count("Stopped by SIGTERM") == 1, printed(folder)
    assert printed(folder).count("starting fresh") == 1
    assert run(words, folder, variables | {"PACE": "0.3"}, kill) == 0, printed(folder)
    assert printed(folder).count("Going on from") >= 2, printed(folder)
    assert run(words, whole, variables) == 0, printed(whole)
    again, undisturbed = (one / "runs" / "a" / "version_0" for one in (folder, whole))
    assert_equal(state_of(undisturbed), state_of(again))
    assert rows_of(undisturbed) == rows_of(again)


def manifest() -> tuple[dict[str, Any], dict[str, Any]]:
    """The claim and the job of the manifest."""
    claim, job = yaml.safe_load_all((CLUSTER / "kubernetes.yaml").read_text())
    return claim, job


def test_the_manifest_is_consistent() -> None:
    claim, job = manifest()
    assert (claim["kind"], job["kind"]) == ("PersistentVolumeClaim", "Job")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["restartPolicy"] == "Never", "Kubernetes refuses podFailurePolicy otherwise"
    assert pod["terminationGracePeriodSeconds"] >= 30
    rules = {rule["action"]: rule["onExitCodes"] for rule in job["spec"]["podFailurePolicy"]["rules"][1:]}
    assert {action: codes["values"] for action, codes in rules.items()} == {"Ignore": [143], "FailJob": [2]}
    assert {codes["containerName"] for codes in rules.values()} == {container["name"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == volumes.keys()
    assert volumes["runs"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert volumes["shared-memory"]["emptyDir"]["medium"] == "Memory"
    assert mounts["shared-memory"] == "/dev/shm"
    assert {f"--runs={mounts['runs']}", f"--data.root={mounts['data']}"} <= {*container["args"]}


@pytest.mark.slow
def test_the_command_of_the_manifest_goes_on_after_an_eviction(tmp_path: Path, environment: dict[str, str]) -> None:
    _, job = manifest()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    write_folders(tmp_path / "data", 8, splits=("train", "val"))
    places = {"$(JOB)": job["metadata"]["name"], "/runs": str(tmp_path / "runs"), "/data": str(tmp_path / "data")}
    words = [*container["command"], *container["args"], *TINY.split()]
    words = [re.sub(r"\$\(JOB\)|(?<==)/(runs|data)$", lambda found: places[found[0]], word) for word in words]

    def evict(program: Program) -> None:
        wait_for(lambda: program.poll() is not None or (tmp_path / "training-0").exists(), 300)
        program.terminate()

    assert run(words, tmp_path, environment | {"PACE": "0.3"}, evict) == 143, printed(tmp_path)
    assert run(words, tmp_path, environment) == 0, printed(tmp_path)
    folder = tmp_path / "runs" / job["metadata"]["name"]
    assert [path.name for path in folder.iterdir()] == ["version_0"]
    assert [row["epoch"] for row in rows_of(folder / "version_0") if "val/loss" in row] == ["0", "1", "2"]
    assert f"Going on from {folder / 'version_0' / 'checkpoints' / 'last.ckpt'}." in printed(tmp_path)
