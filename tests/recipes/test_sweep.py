"""Trials of a sweep, started by the agent of Weights & Biases, whose server is left out."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.wandb_agent import Agent

from tests.callbacks.wandb_log import no_account, read_logs

ROOT = Path(__file__).parents[2]
FILE = ROOT / "recipes" / "search" / "shapes.yaml"
SWEEP: dict[str, Any] = yaml.safe_load(FILE.read_text())
SMALL = [
    *("--data.train_size=16", "--data.val_size=8", "--data.image_size=[24,24]", "--trainer.max_epochs=2"),
    *("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"),
    *("--shown=[]", '--model.backbone_options={"filters": [4, 8], "depth": 1}', "--report=false"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    no_account(monkeypatch, tmp_path)
    for name in (
        "WANDB_RUN_GROUP",
        "WANDB_SWEEP_ID",
        "WANDB_PROJECT",
        "WANDB_RUN_ID",
        "WANDB_DIR",
        "WANDB_SWEEP_PARAM_PATH",
    ):
        monkeypatch.setenv(name, "")  # so that what is set in a test is taken back
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def agent(command: Sequence[str]) -> Any:  # noqa: ANN401 (the client is not annotated)
    """Return the agent of a sweep whose server is not there, as ``wandb agent me/shapes/abc`` makes it."""
    os.environ["WANDB_SWEEP_ID"], os.environ["WANDB_PROJECT"] = "abc", "shapes"
    made: Any = Agent(api=None, queue=None, sweep_id="abc")
    made._sweep_command = list(command)
    return made


@pytest.mark.slow
def test_a_trial_of_the_agent_is_a_run_of_its_sweep(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [word for word in SWEEP["command"][1:] if word != "${args}"]
    started = agent([sys.executable, "-m", "visiontasks", *command, *SMALL, "${args}"])
    drawn = {
        name: given["values"][-1] if "values" in given else given["max"] for name, given in SWEEP["parameters"].items()
    }
    args = {name: {"value": value} for name, value in drawn.items()}
    started._command_run({"type": "run", "run_id": "r1", "program": "", "args": args})
    assert started._run_processes["r1"].wait(300) == 0
    (log,) = read_logs(folder / "runs")
    assert (log.number, log.project, log.name) == ("r1", "shapes", "abc-r1")
    assert {name: log.config[name] for name in drawn} == drawn
    assert 0 <= log.last(SWEEP["metric"]["name"]) <= 1
    assert (folder / "runs" / "abc-r1" / "version_0" / "metrics.csv").is_file()


@pytest.mark.slow
def test_a_trial_that_the_server_ends_is_saved_and_does_not_end_the_search(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (line,) = {line for line in FILE.read_text().splitlines() if "wandb agent" in line}
    for word in shlex.split(line.removeprefix("#"))[:2]:
        monkeypatch.setenv(*word.split("=", 1))
    started = agent([sys.executable, "-m", "visiontasks", "fit", *SMALL, "--trainer.max_epochs=100000", "${args}"])
    started._command_run({"type": "run", "run_id": "r1", "program": "", "args": {"model.pool": {"value": "max"}}})
    process, metrics = started._run_processes["r1"], folder / "runs" / "abc-r1" / "version_0" / "metrics.csv"
    for _ in range(600):
        if metrics.is_file():
            break
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
    started._command_stop({"run_id": "r1"})
    assert process.wait(60) == 143
    assert (metrics.parent / "checkpoints" / "last.ckpt").is_file()
    started._failed = started._finished = 9  # as many as have been ended
    assert not started.is_failing()
    assert not started.is_flapping()
