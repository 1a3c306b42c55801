"""Search for hyperparameters with Optuna, or print the best configuration of a sweep of Weights & Biases.

Source: a sweep of Weights & Biases in YAML, such as shapes.yaml beside this file, which says what is searched for.
Command: python recipes/search/search.py optuna recipes/search/shapes.yaml --hours 1
         python recipes/search/search.py best ENTITY/PROJECT/SWEEP   (or optuna ... --fast, to see it run)

Trials are runs of visiontasks fit in the folder runs/STUDY, trial-0, trial-1, ...; flags of fit at the end are for all
of them and win over those of the file. With --wandb=PROJECT they are runs there, in a group of the study's name. The
study is in runs/STUDY/study.log: the same command goes on with it, and several processes share it.
"""

import argparse
import math
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import optuna
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from visiontasks.cli.failures import run_to_exit_code
from visiontasks.cli.training import TrainingCLI
from visiontasks.errors import ArgumentError

FAST = ("--trainer.max_epochs=1", "--data.train_size=64", "--data.val_size=16")
FAILURES = 3
"""Trials that may fail before the first one ends; what is wrong is then wrong with all of them."""


class Search(NamedTuple):
    """What is searched for.

    Attributes:
        name: Of the search.
        metric: What a trial is judged by, as logged after each validation.
        direction: ``"maximize"`` or ``"minimize"``.
        parameters: Distribution of each flag, in the form of Weights & Biases.
        fixed: Flags that all trials have.
        trials: Maximum number of trials; None for no limit.
        stopping: Rules for ending trials early, in the form of Weights & Biases; empty for none.
    """

    name: str
    metric: str
    direction: Literal["minimize", "maximize"]
    parameters: Mapping[str, Mapping[str, Any]]
    fixed: Sequence[str]
    trials: int | None
    stopping: Mapping[str, Any]


def read_search(content: Mapping[str, Any]) -> Search:
    """Take a search from the configuration of a sweep.

    Raises:
        ArgumentError: If the command is not visiontasks fit, or metric or parameters are missing.
    """
    command = [word for word in content.get("command", ()) if not (word.startswith("${") and word != "${args}")]
    if (
        command[:2] != ["visiontasks", "fit"]
        or not content.get("parameters")
        or "name" not in content.get("metric", ())
    ):
        message = "A search has parameters, a metric with a name, and the command [visiontasks, fit, ..., '${args}']."
        raise ArgumentError(message)
    metric = content["metric"]
    return Search(
        content.get("name") or "search",
        metric["name"],
        metric.get("goal", "minimize"),
        content["parameters"],
        [word for word in command[2:] if word != "${args}"],
        content.get("run_cap"),
        content.get("early_terminate") or {},
    )


def suggest(trial: optuna.Trial, name: str, given: Mapping[str, Any]) -> Any:  # noqa: ANN401 (of the flag)
    """Draw a value of a parameter, a flag without dashes.

    Raises:
        ArgumentError: If its distribution is not known.
    """
    if "value" in given:
        return given["value"]
    if "values" in given:
        return trial.suggest_categorical(name, given["values"])
    whole = isinstance(given.get("min"), int) and isinstance(given.get("max"), int)
    kind = given.get("distribution", "int_uniform" if whole else "uniform")
    if kind in ("int_uniform", "q_uniform") and whole:
        return trial.suggest_int(name, given["min"], given["max"], step=int(given.get("q", 1)))
    if kind in ("uniform", "log_uniform_values"):
        return trial.suggest_float(name, given["min"], given["max"], log=kind == "log_uniform_values")
    message = (
        f"parameters.{name} has the distribution {kind!r}; expected values, uniform, int_uniform, q_uniform of whole "
        "numbers or log_uniform_values."
    )
    raise ArgumentError(message)


def flags_of(values: Mapping[str, Any]) -> list[str]:
    """Write parameters as flags, as the agent of Weights & Biases does."""
    return [f"--{name}={value}" for name, value in values.items()]


class Reporting(Callback):
    """Tells a trial of each validation, and ends the training if others are better at that point.

    Args:
        trial: The trial.
        metric: What it is judged by.
    """

    def __init__(self, trial: optuna.Trial, metric: str) -> None:
        self.trial = trial
        self.metric = metric
        self.values: list[float] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the metric.

        Raises:
            ArgumentError: If it is not logged.
            TrialPruned: If the trial is not worth going on.
        """
        if trainer.sanity_checking:
            return
        if self.metric not in trainer.callback_metrics:
            logged = ", ".join(sorted(trainer.callback_metrics))
            message = f"metric.name is {self.metric!r}, which is not logged. Logged: {logged}."
            raise ArgumentError(message)
        self.values.append(float(trainer.callback_metrics[self.metric]))
        self.trial.report(self.values[-1], len(self.values))
        if self.trial.should_prune():
            raise optuna.TrialPruned


def search_with_optuna(search: Search, options: argparse.Namespace, flags: Sequence[str]) -> int:
    """Run trials until there are enough of them or the time is over, and print the best as a command.

    Args:
        search: What is searched for.
        options: Those of the command line.
        flags: Flags for all trials, which win over those of the search.

    Returns:
        The exit code: 0, or 1 if no trial ended.
    """
    name = options.study or search.name
    folder = options.runs / name
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("WANDB_RUN_GROUP", name)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(folder / "study.log"))),
        study_name=name,
        direction=search.direction,
        sampler=optuna.samplers.TPESampler(seed=options.seed),
        pruner=_pruner(search.stopping),
        load_if_exists=True,
    )
    end = time.monotonic() + 3600 * options.hours
    most = options.trials or search.trials or math.inf
    # In a sweep, the command of the file asks for Weights & Biases; here, whoever wants it.
    given = {"--wandb", *(word.partition("=")[0] for word in flags)}
    fixed = [*(word for word in search.fixed if word.partition("=")[0] not in given), *flags]
    while (left := end - time.monotonic()) > 0 and _states(study).total() < most:
        trial = study.ask()
        values = {parameter: suggest(trial, parameter, given) for parameter, given in search.parameters.items()}
        trial.set_user_attr("flags", [*fixed, *flags_of(values)])
        print(f"\nTrial {trial.number}: {shlex.join(flags_of(values))}", flush=True)
        words = [f"--runs={folder}", f"--run=trial-{trial.number}", f"--trainer.max_time={_duration(left)}"]
        try:
            value = train(trial, [*trial.user_attrs["flags"], *words], search)
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
            print(f"Trial {trial.number} is ended: others are better at this point, or the time is over.")
        except Exception as error:  # other values may do
            study.tell(trial, state=TrialState.FAIL)
            print(f"Trial {trial.number} failed: {type(error).__name__}: {error}", file=sys.stderr)
            states = _states(study)
            if states[TrialState.FAIL] >= FAILURES and set(states) <= {TrialState.FAIL, TrialState.RUNNING}:
                break
        except BaseException:
            study.tell(trial, state=TrialState.FAIL)
            raise
        else:
            study.tell(trial, value)
    return _print_best(study, search)


def train(trial: optuna.Trial, words: Sequence[str], search: Search) -> float:
    """Train with the values of a trial.

    Args:
        trial: The trial, which is told of every validation.
        words: The command line of fit.
        search: What is searched for.

    Returns:
        The best value of the metric.

    Raises:
        TrialPruned: If others are better at the same point, or the time was over before the first validation.
    """
    cli = TrainingCLI("fit", words)
    reporting = Reporting(trial, search.metric)
    cli.trainer.callbacks.append(reporting)  # type: ignore[attr-defined]  # out of mypy's sight
    cli.run()
    if not reporting.values:
        raise optuna.TrialPruned
    return max(reporting.values) if search.direction == "maximize" else min(reporting.values)


def _states(study: optuna.Study) -> Counter[TrialState]:
    return Counter(trial.state for trial in study.get_trials(deepcopy=False))


def _duration(seconds: float) -> str:
    minutes, second = divmod(max(1, int(seconds)), 60)
    return f"{minutes // 1440:02d}:{minutes // 60 % 24:02d}:{minutes % 60:02d}:{second:02d}"


def _pruner(stopping: Mapping[str, Any]) -> optuna.pruners.BasePruner:
    if not stopping:
        return optuna.pruners.NopPruner()
    least, factor = int(stopping.get("min_iter", 1)), int(stopping.get("eta", 3))
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=least, reduction_factor=factor)


def _print_best(study: optuna.Study, search: Search) -> int:
    states = _states(study)
    print(
        f"\nTrials: {', '.join(f'{count} {state.name.lower()}' for state, count in sorted(states.items())) or 'none'}."
    )
    if not states[TrialState.COMPLETE]:
        print("None was trained to its end; the lines above say why.", file=sys.stderr)
        return 1
    best = study.best_trial
    print(f"Best: trial {best.number}, {search.metric} {study.best_value:.6g}\n")
    print(shlex.join(["visiontasks", "fit", *best.user_attrs["flags"]]))
    return 0


def print_best_of_sweep(path: str) -> int:
    """Print the best configuration of a sweep, ``ENTITY/PROJECT/SWEEP``, as a command; return 1 if no run ended."""
    import wandb

    client: Any = wandb.Api()  # which is not annotated
    sweep = client.sweep(path)
    search = read_search(sweep.config)
    best = sweep.best_run()
    if best is None:
        print(f"No run of {path} has logged {search.metric}.", file=sys.stderr)
        return 1
    values = {name: best.config[name] for name in search.parameters}
    print(f"Best: {best.name}, {search.metric} {best.summary_metrics.get(search.metric)}\n")
    print(shlex.join(["visiontasks", "fit", *search.fixed, *flags_of(values)]))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Search, or print what a sweep has found; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    best = commands.add_parser("best", help="print the best configuration of a sweep", allow_abbrev=False)
    best.add_argument("sweep", help="ENTITY/PROJECT/SWEEP")
    running = commands.add_parser("optuna", help="search with Optuna; flags of fit may follow", allow_abbrev=False)
    running.add_argument("file", type=Path, help="what is searched for, in YAML")
    running.add_argument("--study", help="name of the study (default: that of the search)")
    running.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (default: runs)")
    running.add_argument("--trials", type=int, help="of the study (default: run_cap of the file)")
    running.add_argument("--hours", type=float, default=1.0, help="after which the search ends (default: 1)")
    running.add_argument("--seed", type=int, default=0, help="of what is tried (default: 0)")
    running.add_argument("--fast", action="store_true", help="two trials of an epoch: their figures mean nothing")
    options, flags = parser.parse_known_args(arguments)
    if options.command == "best":
        return run_to_exit_code(lambda: print_best_of_sweep(options.sweep), debug=False)
    if options.fast:
        options.trials, flags = options.trials or 2, [*FAST, *flags]
    content = yaml.safe_load(options.file.read_text(encoding="utf-8"))
    return run_to_exit_code(lambda: search_with_optuna(read_search(content), options, flags), debug=False)


if __name__ == "__main__":
    sys.exit(main())
