"""Which run folder a command chooses, and what it goes on from."""

import os
from pathlib import Path

import pytest
import torch
from jsonargparse import Namespace

from visiontasks.callbacks import RunLogger
from visiontasks.cli.runs import Run, choose_run, line_that_goes_on, placed_loggers
from visiontasks.errors import ArgumentError, CheckpointError
from visiontasks.imports import import_path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of its own, with nothing of Weights & Biases in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    return tmp_path


def config_of(**options: object) -> Namespace:
    """Parsed flags; those of the logger are the command line's own unless given."""
    logger = Namespace(save_dir="", name=None, version=None)
    for name in ("save_dir", "name", "version"):
        logger[name] = options.pop(name, logger[name])
    entry = Namespace(class_path=import_path(RunLogger), init_args=logger)
    trainer = Namespace(logger=options.pop("logger", entry), default_root_dir=options.pop("root", None))
    return Namespace(**{"run": None, "runs": None, "ckpt_path": None, **options}, trainer=trainer)


def make_run(folder: Path, step: int = 5, best: str = "epoch0-val_loss0.1.ckpt") -> Path:
    """A run folder with two checkpoints, the last of which is the newest."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "metrics.csv").write_text("epoch,step\n0,4\n")
    for name, saved in ((best, step - 1), ("last.ckpt", step)):
        torch.save({"state_dict": {}, "global_step": saved, "callbacks": {}}, folder / "checkpoints" / name)
    return folder


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        ({}, {}, "runs/fit"),
        ({"run": "night"}, {}, "runs/night"),
        ({"run": "night", "runs": "/scratch"}, {}, "/scratch/night"),
        ({"root": "/scratch"}, {}, "/scratch/runs/fit"),
        ({"save_dir": "logs", "name": "mine"}, {}, "logs/mine"),
        ({"save_dir": "logs", "name": "mine", "run": "night"}, {}, "logs/night"),
        ({}, {"WANDB_NAME": "sunny"}, "runs/sunny"),
        ({}, {"WANDB_SWEEP_ID": "abc", "WANDB_RUN_ID": "r1"}, "runs/abc-r1"),
        ({"run": "night"}, {"WANDB_NAME": "sunny"}, "runs/night"),
    ],
)
def test_the_name_and_the_folder_come_from_flags_and_environment(
    options: dict[str, object], environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run = choose_run(config_of(**options), "fit", evaluates=False)
    assert (run.root / run.name, run.folder, run.checkpoint) == (Path(expected), None, None)


def test_last_is_the_newest_version_of_that_name() -> None:
    make_run(Path("runs/fit/version_9"))
    make_run(Path("runs/fit/version_10"))
    make_run(Path("runs/other/version_11"))
    run = choose_run(config_of(ckpt_path="last"), "fit", evaluates=False)
    assert run.folder == Path("runs/fit/version_10")
    assert run.checkpoint == "runs/fit/version_10/checkpoints/last.ckpt"
    assert run.message == "Going on from runs/fit/version_10/checkpoints/last.ckpt."


def test_a_damaged_last_checkpoint_gives_way_to_the_one_before() -> None:
    folder = make_run(Path("runs/fit/version_0"))
    last = folder / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-200])
    with pytest.warns(UserWarning, match=r"Damaged and skipped: .*last\.ckpt"):
        run = choose_run(config_of(ckpt_path="last"), "fit", evaluates=False)
    assert run.checkpoint == "runs/fit/version_0/checkpoints/epoch0-val_loss0.1.ckpt"


def test_without_a_run_it_starts_fresh_and_says_so() -> None:
    run = choose_run(config_of(ckpt_path="last", run="night"), "fit", evaluates=False)
    assert run == Run("night", Path("runs"), message="There is no run 'night' in 'runs' to go on from: starting fresh.")


def test_a_run_without_a_checkpoint_starts_fresh_in_its_folder() -> None:
    make_run(Path("runs/fit/version_0"))
    Path("runs/fit/version_1").mkdir()
    run = choose_run(config_of(ckpt_path="last"), "fit", evaluates=False)
    assert (run.folder, run.checkpoint) == (Path("runs/fit/version_1"), None)
    assert "has no checkpoint yet" in run.message


def test_a_folder_goes_on_in_it_and_an_older_file_in_a_new_one() -> None:
    folder = make_run(Path("elsewhere/mine/version_3"))
    run = choose_run(config_of(ckpt_path=str(folder)), "fit", evaluates=False)
    assert (run.root, run.name, run.folder) == (Path("elsewhere"), "mine", folder)
    assert run.checkpoint == str(folder / "checkpoints" / "last.ckpt")

    newest = choose_run(config_of(ckpt_path=str(folder / "checkpoints" / "last.ckpt")), "fit", evaluates=False)
    assert newest.folder is not None
    assert newest.folder.resolve() == folder.resolve()

    older = choose_run(config_of(ckpt_path=str(folder / "checkpoints" / "epoch0-val_loss0.1.ckpt")), "fit", False)
    assert (older.root / older.name, older.folder) == (Path("runs/fit"), None)
    assert "in a new run folder" in older.message


def test_a_file_that_lies_in_no_run_folder_begins_a_new_one() -> None:
    Path("loose").mkdir()
    torch.save({"state_dict": {}, "global_step": 3, "callbacks": {}}, "loose/weights.pth")
    run = choose_run(config_of(ckpt_path="loose/weights.pth"), "fit", evaluates=False)
    assert (run.root / run.name, run.folder, run.checkpoint) == (Path("runs/fit"), None, "loose/weights.pth")


def test_a_missing_file_is_an_error() -> None:
    with pytest.raises(CheckpointError, match=r"There is no checkpoint 'gone\.ckpt'"):
        choose_run(config_of(ckpt_path="gone.ckpt"), "fit", evaluates=False)


def test_a_new_training_does_not_begin_in_the_folder_of_another() -> None:
    make_run(Path("runs/fit/version_0"))
    with pytest.raises(ArgumentError, match=r"'runs/fit/version_0' holds a run.*--ckpt_path last"):
        choose_run(config_of(version=0), "fit", evaluates=False)
    assert choose_run(config_of(version=0, ckpt_path="last"), "fit", False).folder == Path("runs/fit/version_0")
    assert choose_run(config_of(version=1), "fit", evaluates=False).folder is None


def test_a_run_folder_is_scored_by_its_best_checkpoint() -> None:
    folder = make_run(Path("runs/fit/version_0"))
    run = choose_run(config_of(ckpt_path=str(folder)), "test", evaluates=True)
    assert run.checkpoint == str(folder / "checkpoints" / "epoch0-val_loss0.1.ckpt")
    with pytest.raises(ArgumentError, match=r"--ckpt_path last: give the run folder, such as .*version_0"):
        choose_run(config_of(ckpt_path="last"), "test", evaluates=True)


def test_loggers_that_keep_their_files_elsewhere_have_no_last() -> None:
    wandb = Namespace(class_path="lightning.pytorch.loggers.WandbLogger", init_args=Namespace())
    with pytest.raises(ArgumentError, match="--wandb"):
        choose_run(config_of(logger=wandb, ckpt_path="last"), "fit", evaluates=False)
    # Without a logger, the checkpoints are in the folder of the name.
    make_run(Path("runs/fit"))
    run = choose_run(config_of(logger=False, ckpt_path="last"), "fit", evaluates=False)
    assert run.checkpoint == "runs/fit/checkpoints/last.ckpt"


def test_the_logger_is_placed_in_a_copy_of_the_configuration() -> None:
    config = config_of()
    placed = placed_loggers(config, Run("night", Path("runs"), Path("runs/night/version_2")))
    assert (placed.init_args.save_dir, placed.init_args.name, placed.init_args.version) == ("runs", "night", 2)
    assert (config.trainer.logger.init_args.save_dir, config.trainer.logger.init_args.version) == ("", None)
    assert placed_loggers(config_of(logger=False), Run("night", Path("runs"))) is False


def test_the_line_that_goes_on_names_no_other_checkpoint() -> None:
    line = "visiontasks fit --ckpt_path 'a b.ckpt' --run night"
    assert line_that_goes_on(line) == "visiontasks fit --run night --ckpt_path last"
    assert line_that_goes_on("visiontasks fit --ckpt_path=x") == "visiontasks fit --ckpt_path last"
