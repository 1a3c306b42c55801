"""Weights & Biases by flags, with the real client, offline."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers import WandbLogger

from tests.callbacks.wandb_log import Log, no_account, read_log, read_logs
from visiontasks.cli import main, tracking
from visiontasks.cli.tracking import leave_out_unset

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
    names = ("circle", "square", "triangle", "star")
    assert all(re.match(rf"({'|'.join(names)}) [01]\.\d\d(, true: |$)", caption) for caption in pictures["captions"])
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


def test_one_flag_logs_all_and_a_resumed_training_stays_one_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = time.process_time()
    warned = fit("--wandb", "shapes", "--trainer.max_epochs", "1")
    assert len(warned) == 1
    assert warned[0].startswith(NO_KEY)
    assert time.process_time() - start < 60
    kept = Path(capsys.readouterr().out.splitlines()[-1].rpartition("To upload it: wandb sync ")[2])
    assert list(kept.glob("run-*.wandb"))
    assert kept.parent == Path("runs/wandb")
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


def prepared(saved: dict[str, str], **entry: Any) -> Any:  # noqa: ANN401 - a logger of a configuration
    """A logger of a configuration after it was prepared for a run."""
    from jsonargparse import Namespace

    from visiontasks.cli.runs import Run
    from visiontasks.cli.tracking import prepare_loggers

    logger = Namespace(class_path="lightning.pytorch.loggers.WandbLogger", init_args=Namespace(**entry))
    csv = Namespace(class_path="lightning.pytorch.loggers.CSVLogger", init_args=Namespace(save_dir=""))
    config = Namespace(trainer=Namespace(logger=[csv, logger]), wandb=None, wandb_artifacts=False)
    prepare_loggers(config, Run("night", Path("elsewhere")), saved)
    return logger


def test_a_run_is_resumed_by_its_project_unless_it_has_a_number(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    saved = {"p": "abc", "lightning_logs": "def", "named": "ghi"}
    assert prepared(saved, project="p", save_dir="w").init_args.id == "abc"
    assert (folder / "w").is_dir()
    assert prepared(saved).init_args.id == "def"
    assert "id" not in prepared(saved, project="other").init_args
    assert prepared(saved, project="p", id="own").init_args.id == "own"
    assert "id" not in prepared(saved, project="p", version="own").init_args
    assert "dict_kwargs" not in prepared(saved, project="p")  # of a run that is resumed online
    monkeypatch.setenv("WANDB_PROJECT", "named")
    assert prepared(saved).init_args.id == "ghi"


def test_the_flag_adds_a_logger_beside_the_files_of_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from visiontasks.cli.training import TrainingCLI

    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_ERROR_REPORTING", "WANDB_SILENT"):
        monkeypatch.delenv(name)
    words = "--wandb project --run night --runs elsewhere --trainer.accelerator cpu"
    files, logger = TrainingCLI("fit", words.split()).trainer.loggers
    assert files.log_dir == "elsewhere/night/version_0"
    assert isinstance(logger, WandbLogger)
    init = logger._wandb_init
    assert (init["project"], init["name"], logger.save_dir) == ("project", "night", "elsewhere")
    assert logger._log_model is False
    assert "anonymous" in init
    leave_out_unset([logger])
    assert "anonymous" not in init
    init["anonymous"] = "allow"
    leave_out_unset([logger])
    assert init["anonymous"] == "allow"
    assert os.environ["WANDB_ERROR_REPORTING"] == "false"
    assert os.environ["WANDB_SILENT"] == "true"
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.delenv("WANDB_SILENT")
    monkeypatch.setenv("WANDB_QUIET", "")
    monkeypatch.delenv("WANDB_QUIET")
    prepared({}, project="p")
    assert "WANDB_SILENT" not in os.environ  # where the run is, is told
    assert os.environ["WANDB_QUIET"] == "true"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (None, ("api.wandb.ai", 443)),
        ("http://some.where", ("some.where", 80)),
        ("https://some.where:8443/path", ("some.where", 8443)),
    ],
)
def test_the_server_that_is_tried_is_that_of_the_client(
    address: str | None, expected: tuple[str, int], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Any] = []

    def connect(address: tuple[str, int], timeout: float) -> Any:  # noqa: ANN401 - a socket
        tried.append((address, timeout))
        if len(tried) == 2:
            raise OSError
        return contextlib.nullcontext()

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(tracking, "getproxies", dict)
    if address is not None:
        monkeypatch.setenv("WANDB_BASE_URL", address)
    assert tracking._reachable()
    assert not tracking._reachable()
    assert tried == [(expected, 4.0)] * 2
    monkeypatch.setattr(tracking, "getproxies", lambda: {"https": "http://proxy"})
    assert tracking._reachable()
    assert len(tried) == 2


def test_a_key_is_found_where_the_client_finds_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not tracking._has_key()
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "x")
            assert tracking._has_key()
    (folder / "keys").write_text("machine some.where login user password xyz\n")
    monkeypatch.setenv("NETRC", str(folder / "keys"))
    assert not tracking._has_key()  # of another server
    monkeypatch.setenv("WANDB_BASE_URL", "https://some.where:8443")
    assert tracking._has_key()
    (folder / "keys").write_text("machine")
    assert not tracking._has_key()
