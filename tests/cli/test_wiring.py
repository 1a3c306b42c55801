"""What a command or recipe hands on to the Trainer, without training."""

import os
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from visiontasks import AutoencodingTask, ClassificationTask, ShapesDataModule
from visiontasks.callbacks import RunLogger
from visiontasks.callbacks.run_logger import METRICS_FILE
from visiontasks.cli.saved_config import SaveConfig
from visiontasks.cli.training import TrainingCLI, run_recipe
from visiontasks.cli.tune import TuningCLI

FLAGS = (
    "--data.train_size 24 --data.val_size 8 --data.test_size 8 --data.batch_size 8 --data.image_size [24,24] "
    "--trainer.accelerator cpu --trainer.enable_progress_bar false --trainer.enable_model_summary false"
)
SMALL = FLAGS.split()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Call(NamedTuple):
    """A call of the Trainer."""

    method: str
    model: Any
    data: Any
    checkpoint: str | None


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Calls of a Trainer that only notes them; a fit finds a best checkpoint."""
    noted: list[Call] = []

    def note(method: str) -> Any:  # noqa: ANN401 - a method
        def run(trainer: Trainer, model: Any, data: Any, ckpt_path: str | None, **_: Any) -> None:  # noqa: ANN401
            noted.append(Call(method, model, data, ckpt_path))
            best = trainer.checkpoint_callback
            if method == "fit" and isinstance(best, ModelCheckpoint) and best.monitor:
                best.best_model_path = f"the best by {best.monitor}"

        return run

    for method in ("fit", "validate", "test"):
        monkeypatch.setattr(Trainer, method, note(method))
    return noted


def test_a_recipe_trains_and_tests_the_best_checkpoint(calls: list[Call], capsys: pytest.CaptureFixture[str]) -> None:
    run_recipe("shapes", ClassificationTask, ShapesDataModule, {}, SMALL)
    assert "Trained 0 epochs in 0 s.\n" in capsys.readouterr().out
    fit, test = calls
    assert (fit.method, fit.checkpoint) == ("fit", None)
    assert (test.method, test.checkpoint) == ("test", "the best by val/accuracy")
    assert test.model is fit.model
    assert test.data is fit.data


def test_a_trial_run_of_a_recipe_tests_the_weights_it_has(calls: list[Call]) -> None:
    run_recipe("shapes", ClassificationTask, ShapesDataModule, {"trainer.fast_dev_run": True}, SMALL)
    assert [(call.method, call.checkpoint) for call in calls] == [("fit", None), ("test", None)]


def test_fit_tests_nothing(calls: list[Call]) -> None:
    TrainingCLI("fit", SMALL).run()
    assert [call.method for call in calls] == ["fit"]


@pytest.fixture
def some(folder: Path) -> Path:
    """A checkpoint of a classifier that was not trained."""
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    task = ClassificationTask(4)
    task.trainer = trainer
    trainer.strategy.connect(task)
    trainer.save_checkpoint(folder / "some.ckpt", weights_only=True)
    return folder / "some.ckpt"


@pytest.mark.parametrize("command", ["validate", "test"])
def test_a_checkpoint_is_scored_on_the_split_of_the_command(command: str, calls: list[Call], some: Path) -> None:
    TrainingCLI(command, ["--ckpt_path", str(some), "--data", "ShapesDataModule", *SMALL]).run()
    assert [(call.method, call.checkpoint) for call in calls] == [(command, str(some))]


def callbacks_of(cli: TrainingCLI) -> dict[str, Any]:
    """The callbacks of a Trainer by the names of their classes, in their order."""
    callbacks: list[Any] = cli.trainer.callbacks  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight
    return {type(callback).__name__: callback for callback in callbacks}


def test_what_a_run_has_unless_flags_say_otherwise() -> None:
    cli = TrainingCLI("fit", SMALL)
    callbacks = callbacks_of(cli)
    assert next(iter(callbacks)) == "PrintedFigures"
    best, last = callbacks["BestCheckpoint"], callbacks["LastCheckpoint"]
    assert (best.monitor, best.mode) == ("val/accuracy", "max")
    assert last.minutes == 10
    line = shlex.join(["visiontasks", "fit", *SMALL])
    assert last.command == f"{line} --ckpt_path last"
    assert callbacks["RunReport"].command == line
    assert callbacks["WandbRun"].config["arguments"]["data"]["init_args"]["train_size"] == 24
    shown = ["PredictionImages", "ConfusionImages", "WorstSamples", "PerClassTable"]
    assert [name for name in callbacks if name in shown] == shown
    assert {callbacks[name]._files.keep for name in shown} == {20}
    assert isinstance(callbacks["SaveConfig"], SaveConfig)
    assert (cli.config.trainer.max_epochs, cli.trainer.default_root_dir) == (None, "runs/fit")
    assert (cli.datamodule.seed, os.environ["PL_GLOBAL_SEED"]) == (0, "0")
    assert cli.trainer.log_dir == "runs/fit/version_0"


def test_flags_reach_what_they_name() -> None:
    words = (
        "--save_minutes 3 --report false --shown [confusion] --keep_pictures 7 --run night --runs elsewhere "
        "--seed_everything 5 --trainer.max_epochs 4 --data.batch_size 6"
    )
    cli = TrainingCLI("fit", [*SMALL, *words.split()])
    callbacks = callbacks_of(cli)
    assert callbacks["LastCheckpoint"].minutes == 3
    assert callbacks["ConfusionImages"]._files.keep == 7
    assert not callbacks.keys() & {"RunReport", "PredictionImages", "WorstSamples", "PerClassTable"}
    assert (cli.trainer.max_epochs, cli.trainer.default_root_dir) == (4, "elsewhere/night")
    assert cli.trainer.log_dir == "elsewhere/night/version_0"
    assert (cli.datamodule.seed, os.environ["PL_GLOBAL_SEED"]) == (5, "5")
    assert cli.datamodule.batch_size == 6


def test_what_the_data_know_reaches_the_task() -> None:
    cli = TrainingCLI("fit", SMALL)
    assert (cli.model.num_classes, cli.model.in_channels, cli.model.image_size) == (4, 3, (24, 24))
    recipe = TrainingCLI("shapes", SMALL, ClassificationTask, ShapesDataModule, {"data.train_size": 9})
    assert (recipe.model.num_classes, recipe.model.in_channels, recipe.model.image_size) == (4, 3, (24, 24))
    assert recipe.line.startswith("python ")
    autoencoder = TrainingCLI("codes", SMALL, AutoencodingTask, ShapesDataModule)  # which has no classes
    assert autoencoder.model.fixed_size == (24, 24)


def test_checkpoints_of_the_user_take_the_place_of_ours() -> None:
    own = "--trainer.callbacks+=lightning.pytorch.callbacks.ModelCheckpoint --trainer.callbacks.save_last true"
    callbacks = callbacks_of(TrainingCLI("fit", [*SMALL, *own.split()]))
    assert "BestCheckpoint" not in callbacks
    assert callbacks["ModelCheckpoint"].save_last
    assert callbacks["LastCheckpoint"].minutes == 10
    own = "--trainer.callbacks+=visiontasks.callbacks.LastCheckpoint --trainer.callbacks.minutes 2"
    callbacks = callbacks_of(TrainingCLI("fit", [*SMALL, *own.split()]))
    assert "BestCheckpoint" in callbacks
    assert callbacks["LastCheckpoint"].minutes == 2
    for without in (["--trainer.enable_checkpointing", "false"], ["--trainer.fast_dev_run", "true"]):
        assert not callbacks_of(TrainingCLI("fit", [*SMALL, *without])).keys() & {"BestCheckpoint", "LastCheckpoint"}


def test_a_search_ends_at_its_steps_and_keeps_nothing(folder: Path) -> None:
    asked = "--steps 30 --wandb project --trainer.max_time 0:01 --trainer.logger true --trainer.min_epochs 3"
    cli = TuningCLI([*SMALL, *asked.split()], str(folder / "temporary"))
    trainer: Any = cli.trainer
    assert (trainer.max_epochs, trainer.max_steps, trainer.min_epochs, trainer.min_steps) == (-1, 30, None, None)
    assert trainer.check_val_every_n_epoch == 10**9
    assert (trainer.num_sanity_val_steps, trainer.val_check_interval) == (0, 1.0)
    assert trainer.loggers == []
    left = {name for name in callbacks_of(cli) if name not in ("SaveConfig", "PrintedFigures", "WandbRun")}
    assert not [name for name in left if "Checkpoint" in name or "Images" in name or name in ("RunReport", "Timer")]


@pytest.mark.parametrize("command", ["validate", "test"])
def test_scoring_saves_no_checkpoint_and_no_configuration(command: str, some: Path) -> None:
    cli = TrainingCLI(command, ["--ckpt_path", str(some), "--data", "ShapesDataModule", *SMALL])
    assert not callbacks_of(cli).keys() & {"BestCheckpoint", "LastCheckpoint", "SaveConfig"}
    assert cli.trainer.default_root_dir == f"runs/{command}"


def test_a_run_that_left_no_checkpoint_keeps_its_rows(
    calls: list[Call], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path("runs/fit/version_0")
    run.mkdir(parents=True)
    (run / METRICS_FILE).write_text("epoch,step\n0,4\n")
    went_on: list[Any] = []
    monkeypatch.setattr(RunLogger, "go_on", lambda logger, *how: went_on.append(how))
    TrainingCLI("fit", [*SMALL, "--ckpt_path", "last"]).run()
    assert went_on == [(run / METRICS_FILE, 0, None)]
    assert calls[0].checkpoint is None
    assert "The run in runs/fit/version_0 has no checkpoint yet: starting fresh in it.\n" in capsys.readouterr().out
