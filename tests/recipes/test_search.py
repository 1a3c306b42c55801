"""The search for hyperparameters: the agent of Weights & Biases with a faked server, and Optuna."""

import importlib.util
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import optuna
import pytest
import wandb
import yaml
from optuna.trial import TrialState
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from tests.callbacks.wandb_log import no_account, read_logs
from visiontasks.cli.training import TrainingCLI
from visiontasks.errors import ArgumentError

ROOT = Path(__file__).parents[2]
FILE = ROOT / "recipes" / "search" / "shapes.yaml"
SWEEP: dict[str, Any] = yaml.safe_load(FILE.read_text())
SMALL = [
    *("--data.train_size=16", "--data.val_size=8", "--data.image_size=[24,24]", "--trainer.max_epochs=2"),
    *("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"),
    *("--shown=[]", '--model.backbone_options={"filters": [4, 8], "depth": 1}', "--report=false"),
]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("search", FILE.with_name("search.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def extremes(given: Mapping[str, Any]) -> Sequence[Any]:
    return given["values"] if "values" in given else [given["min"], given["max"]]


class Parsing(TrainingCLI):
    """Reads the flags and creates nothing."""

    def instantiate_classes(self) -> None:
        """Create nothing."""


def test_fit_takes_what_the_agent_makes_of_every_parameter() -> None:
    for turn in range(3):
        drawn = {name: extremes(given)[turn % len(extremes(given))] for name, given in SWEEP["parameters"].items()}
        flags = create_sweep_command_args({"args": {name: {"value": value} for name, value in drawn.items()}})["args"]
        words = [word for chunk in SWEEP["command"][2:] for word in (flags if chunk == "${args}" else [chunk])]
        config = Parsing("fit", words).config
        for name, value in drawn.items():
            owner, *path = name.split(".")
            found = config[owner].init_args
            for key in path:
                found = found.init_args if "init_args" in found and key not in found else found
                found = found[key]
            assert found == value, name


@pytest.mark.parametrize("wandb_flag", [["--wandb=mine"], []], ids=["with W&B", "without"])
def test_the_best_trial_is_printed_as_a_command(
    script: ModuleType, folder: Path, capsys: pytest.CaptureFixture[str], wandb_flag: list[str]
) -> None:
    words = ["optuna", str(FILE), "--study", "mine", "--trials", "2", *SMALL, *wandb_flag]
    assert script.main(words) == 0
    *_, best, _, line = capsys.readouterr().out.splitlines()
    number = int(best.split("trial ")[1].split(",")[0])
    assert shlex.split(line)[:2] == ["visiontasks", "fit"]
    assert "--trainer.max_epochs=12" not in shlex.split(line)  # which a flag has replaced
    saved = yaml.safe_load((folder / "runs" / "mine" / f"trial-{number}" / "version_0" / "config.yaml").read_text())
    again = Parsing("fit", shlex.split(line)[2:])
    config = yaml.safe_load(again.parser.dump(again.config, skip_none=False))
    assert saved["model"] == config["model"]
    assert saved["data"] == config["data"]
    logs = read_logs(folder / "runs" / "mine")
    assert [(log.name, log.group) for log in logs] == ([("trial-0", "mine"), ("trial-1", "mine")] if wandb_flag else [])
    # The same command goes on: there are two trials already.
    assert script.main(words) == 0
    assert "Trials: 2 complete" in capsys.readouterr().out
    assert len(list((folder / "runs" / "mine").glob("trial-*"))) == 2


def faked(script: ModuleType, monkeypatch: pytest.MonkeyPatch, train: Callable[[Any], float]) -> list[list[str]]:
    """Let trials be what a function says; return their command lines."""
    lines: list[list[str]] = []

    def run(trial: optuna.Trial, words: list[str], search: object) -> float:
        lines.append(words)
        return train(trial)

    monkeypatch.setattr(script, "train", run)
    return lines


def test_a_trial_that_fails_or_is_pruned_is_counted_and_others_follow(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(trial: optuna.Trial) -> float:
        if trial.number == 0:
            message = "out of memory"
            raise RuntimeError(message)
        if trial.number == 2:
            trial.report(0.9, 1)
            raise optuna.TrialPruned
        return trial.number / 10

    faked(script, monkeypatch, train)
    assert script.main(["optuna", str(FILE), "--trials", "5"]) == 0
    captured = capsys.readouterr()
    assert "Trial 0 failed: RuntimeError: out of memory" in captured.err
    assert "Trial 2 is ended" in captured.out
    assert "Trials: 3 complete, 1 pruned, 1 fail." in captured.out
    assert "Best: trial 4, val/accuracy 0.4" in captured.out


def test_what_is_wrong_with_all_trials_ends_the_search(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(trial: optuna.Trial) -> float:
        message = "there is no such flag"
        raise ArgumentError(message)

    lines = faked(script, monkeypatch, train)
    assert script.main(["optuna", str(FILE)]) == 1
    assert len(lines) == script.FAILURES
    assert "None was trained to its end" in capsys.readouterr().err


def test_a_search_ends_when_its_time_is_over(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(script, "time", SimpleNamespace(monotonic=lambda: now))

    def train(trial: optuna.Trial) -> float:
        nonlocal now
        now += 50 * 3600
        return 0.5

    lines = faked(script, monkeypatch, train)
    assert script.main(["optuna", str(FILE), "--hours", "51.5"]) == 0
    # What is left is the most that the next trial takes.
    assert [line[-1] for line in lines] == ["--trainer.max_time=02:03:30:00", "--trainer.max_time=00:01:30:00"]


def test_an_interrupt_ends_the_search_and_leaves_no_trial_running(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(trial: optuna.Trial) -> float:
        raise KeyboardInterrupt

    faked(script, monkeypatch, train)
    assert script.main(["optuna", str(FILE)]) == 130
    storage = script.JournalStorage(script.JournalFileBackend("runs/shapes/study.log"))
    (trial,) = optuna.load_study(study_name="shapes", storage=storage).trials
    assert trial.state == TrialState.FAIL


def reporting(script: ModuleType, metrics: Mapping[str, float], *, prune: bool = False) -> tuple[Any, Any, list[Any]]:
    """Return the callback of a trial, a Trainer after a validation, and where what is reported is noted."""
    reported: list[Any] = []
    trial = SimpleNamespace(report=lambda *given: reported.append(given), should_prune=lambda: prune)
    trainer = SimpleNamespace(sanity_checking=False, callback_metrics=metrics)
    return script.Reporting(trial, "val/accuracy"), trainer, reported


def test_every_validation_is_reported_and_a_trial_may_end_there(script: ModuleType) -> None:
    callback, trainer, reported = reporting(script, {"val/accuracy": 0.25})
    trainer.sanity_checking = True
    callback.on_validation_end(trainer, None)
    assert not reported
    trainer.sanity_checking = False
    for _ in range(2):
        callback.on_validation_end(trainer, None)
    assert reported == [(0.25, 1), (0.25, 2)]
    callback, trainer, _ = reporting(script, {"val/accuracy": 0.25}, prune=True)
    with pytest.raises(optuna.TrialPruned):
        callback.on_validation_end(trainer, None)
    callback, trainer, _ = reporting(script, {"val/loss": 1.0})
    with pytest.raises(ArgumentError, match=r"'val/accuracy', which is not logged. Logged: val/loss"):
        callback.on_validation_end(trainer, None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"value": 7}, {7}),
        ({"values": ["a"]}, {"a"}),
        ({"min": 2, "max": 3}, {2, 3}),
        ({"distribution": "q_uniform", "min": 8, "max": 24, "q": 8}, {8, 16, 24}),
    ],
)
def test_whole_numbers_and_choices_are_drawn_as_they_are_given(
    script: ModuleType, given: Mapping[str, Any], expected: set[Any]
) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    assert {script.suggest(study.ask(), "x", given) for _ in range(40)} == expected


def test_rates_are_drawn_evenly_over_their_logarithm(script: ModuleType) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    given = {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0}
    drawn = [script.suggest(study.ask(), "x", given) for _ in range(200)]
    assert 80 < sum(value < 1e-2 for value in drawn) < 120
    with pytest.raises(ArgumentError, match=r"parameters\.x has the distribution 'normal'"):
        script.suggest(study.ask(), "x", {"distribution": "normal", "mu": 0, "sigma": 1})


def test_the_best_run_of_a_sweep_is_printed_as_a_command(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = {name: extremes(given)[0] for name, given in SWEEP["parameters"].items()}
    run = SimpleNamespace(name="abc-r1", config={**drawn, "arguments": {}}, summary_metrics={"val/accuracy": 0.875})
    sweep = SimpleNamespace(config=SWEEP, best_run=lambda: run)
    monkeypatch.setattr(wandb, "Api", lambda: SimpleNamespace(sweep={"me/shapes/abc": sweep}.__getitem__))
    assert script.main(["best", "me/shapes/abc"]) == 0
    best, _, line = capsys.readouterr().out.splitlines()
    assert best == "Best: abc-r1, val/accuracy 0.875"
    assert shlex.split(line)[-len(drawn) :] == [f"--{name}={value}" for name, value in drawn.items()]
    Parsing("fit", shlex.split(line)[2:])
    sweep.best_run = lambda: None
    assert script.main(["best", "me/shapes/abc"]) == 1


def test_a_file_that_is_no_search_is_refused(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.yaml").write_text("parameters: {a: {value: 1}}\ncommand: [python, train.py]\nmetric: {name: val/loss}\n")
    assert script.main(["optuna", "x.yaml"]) == 2
    assert "the command [visiontasks, fit" in capsys.readouterr().err
