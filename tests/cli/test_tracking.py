"""Weights & Biases by flags, with the real client, offline."""

import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.callbacks.wandb_log import Log, no_account, read_log, read_logs
from visiontasks.cli import main

ROOT = Path(__file__).parents[2]
SMALL = [
    *("--data.train_size", "16", "--data.val_size", "8", "--data.test_size", "8", "--data.batch_size", "8"),
    *("--data.image_size", "[24,24]", "--model.backbone_options", '{"filters": [4, 8], "depth": 1}'),
    *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
    *("--trainer.enable_model_summary", "false", "--trainer.log_every_n_steps", "1"),
]
NO_KEY = "There is no key of Weights & Biases, and no terminal to ask for one."


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    no_account(monkeypatch, tmp_path)
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fit(*words: str) -> list[str]:
    """Train, and return what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert main(["fit", *SMALL, *words]) == 0
    return [str(warning.message) for warning in caught if "Weights & Biases" in str(warning.message)]


def check_contents(log: Log) -> None:
    keys = {key for row in log.history for key in row}
    assert {"train/loss", "train/accuracy", "val/loss", "val/accuracy", "val/class_accuracy/star"} <= keys
    assert log.config["class_names"] == ["circle", "square", "triangle", "star"]
    assert set(log.config["data_fingerprint"]) == {"train", "val"}
    assert log.config["backbone_options"] == {"filters": [4, 8], "depth": 1}
    assert log.config["arguments"]["data"]["init_args"]["train_size"] == 16
    assert log.config["arguments"]["trainer"]["max_epochs"] == 1
    pictures = log.last("val/predictions")
    assert pictures["_type"] == "images/separated"
    assert pictures["count"] == 8
    assert all((log.folder / name).is_file() for name in pictures["filenames"])
    assert all("(true: " in caption for caption in pictures["captions"])
    worst = log.last("val/worst")
    table: dict[str, Any] = json.loads((log.folder / worst["path"]).read_text())
    assert table["columns"] == ["image", "number", "quality", "predicted"]
    qualities = [row[2] for row in table["data"]]
    assert qualities == sorted(qualities)
    assert len(qualities) == 8
    (confusion,) = log.folder.glob("media/table/val/confusion*.json")
    rows = json.loads(confusion.read_text())["data"]
    assert len(rows) == 16
    assert sum(count for _, _, count in rows) == 8


def test_one_flag_logs_all_and_a_resumed_training_stays_one_run(folder: Path) -> None:
    start = time.process_time()
    warned = fit("--wandb", "shapes", "--trainer.max_epochs", "1")
    assert len(warned) == 1
    assert warned[0].startswith(NO_KEY)
    assert time.process_time() - start < 60
    (log,) = read_logs(folder / "runs")
    assert (log.project, log.name, log.tags) == ("shapes", "fit", ["ClassificationTask", "ShapesDataModule"])
    check_contents(log)
    run = folder / "runs" / "fit" / "version_0"
    written = {file.name for file in run.iterdir()}
    assert {"config.yaml", "metrics.csv", "predictions", "confusion", "worst", "per_class"} <= written

    last = run / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["callbacks"]["WandbRun"] == {"shapes": log.number}
    # The variable is set by now: nothing more is said.
    assert fit("--wandb", "shapes", "--trainer.max_epochs", "2", "--ckpt_path", str(last)) == []
    first, second = read_logs(folder / "runs")
    assert first.number == second.number == log.number
    assert [row["epoch"] for row in second.history if "val/loss" in row] == [1]
    assert max(row["trainer/global_step"] for row in second.history) > max(
        row["trainer/global_step"] for row in first.history
    )


def test_the_long_form_logs_as_well(folder: Path) -> None:
    words = ["--trainer.logger", "WandbLogger", "--trainer.logger.project", "long", "--trainer.logger.save_dir", "w"]
    for _ in range(2):  # a second run finds nothing in its way
        fit(*words, "--trainer.max_epochs", "1")
    one, other = read_logs(folder / "w")
    assert one.project == "long"
    assert one.number != other.number
    check_contents(one)
    assert not (folder / "runs").exists()
    assert list((folder / "w" / "long" / one.number / "checkpoints").glob("*.ckpt"))


@pytest.mark.parametrize("has", ["WANDB_MODE", "WANDB_API_KEY", "netrc"])
def test_nothing_is_warned_of_where_a_choice_was_made(has: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jsonargparse import Namespace

    from visiontasks.cli.runs import Run
    from visiontasks.cli.tracking import prepare_loggers

    def prepare() -> Any:  # noqa: ANN401 - a logger of a configuration
        config = Namespace(trainer=Namespace(logger=False), wandb="p", wandb_artifacts=True)
        config.model = config.data = Namespace()
        prepare_loggers(config, Run("fit", Path("runs")), {"p": "abc"})
        (entry,) = config.trainer.logger
        return entry

    with pytest.warns(UserWarning, match=NO_KEY):
        entry = prepare()
    assert entry.init_args.id == "abc"
    assert entry.init_args.log_model is True
    assert entry.dict_kwargs["resume"] is None
    monkeypatch.delenv("WANDB_MODE")
    if has == "netrc":
        (folder / ".netrc").write_text("machine api.wandb.ai\n  login user\n  password xyz\n")
    else:
        monkeypatch.setenv(has, "offline")
    monkeypatch.setattr("visiontasks.cli.tracking._reachable", lambda: True)
    prepare()
    assert os.environ.get("WANDB_MODE") == ("offline" if has == "WANDB_MODE" else None)


def start(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("WANDB")},
        **{"PYTHONPATH": str(ROOT), "HOME": str(folder), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-m", "visiontasks", "fit", *SMALL, "--trainer.max_epochs", "1", *words],
        capture_output=True, text=True, check=False, cwd=folder, stdin=subprocess.DEVNULL, timeout=600, env=environment,
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_are_one_run(tmp_path: Path) -> None:
    done = start(tmp_path, "--wandb", "pair", "--trainer.devices", "2", "--trainer.strategy", "ddp")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(NO_KEY) == 1
    assert "wandb: WARNING" not in done.stderr
    (log,) = read_logs(tmp_path / "runs")
    check_contents(log)


@pytest.mark.slow
def test_a_server_that_does_not_answer_does_not_hold_a_training_up(tmp_path: Path) -> None:
    key = {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    done = start(tmp_path, "--wandb", "lost", **key)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("does not answer at http://127.0.0.1:9") == 1
    (file,) = (tmp_path / "runs" / "wandb").glob("offline-run-*/run-*.wandb")
    check_contents(read_log(file))
