"""``visiontasks report``: the report of a finished run."""

import argparse
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from visiontasks.callbacks.report import RunReport
from visiontasks.cli.from_data import FROM_DATA
from visiontasks.cli.hardware import keep_freed_memory
from visiontasks.cli.run_data import data_of_run, read_config
from visiontasks.cli.training import TrainingCLI
from visiontasks.errors import VisiontasksError
from visiontasks.import_paths import import_path
from visiontasks.prediction import find_task
from visiontasks.report import Environment, read_environment
from visiontasks.runs import best_checkpoint, resolve_checkpoint
from visiontasks.tasks.reading import read_checkpoint


def main(command: str, arguments: Sequence[str]) -> int:
    """Test the checkpoint of a run folder on the data in its configuration, and write ``report.html`` into the folder.

    Args:
        command: ``"report"``.
        arguments: The command line after it.

    Returns:
        The exit code, 0.

    Raises:
        VisiontasksError: If the folder lacks a configuration or a checkpoint, or they cannot be used.
    """
    parser = argparse.ArgumentParser(
        prog=f"visiontasks {command}",
        description="Test the checkpoint of a run on the data that its configuration names, and write the page of the "
        "run, report.html, into its folder.",
        epilog="Flags of 'visiontasks test' may follow, and win over the configuration: --data.root FOLDER, "
        "--trainer.accelerator cpu, ...",
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, help="a run folder, such as runs/fit/version_0")
    parser.add_argument("--ckpt_path", help="checkpoint to test; the best one of the run by default")
    parser.add_argument(
        "--count", type=int, default=8, help="samples of each kind, best, worst and random (default: 8)"
    )
    options, flags = parser.parse_known_args(arguments)
    folder: Path = options.run
    config = read_config(folder)
    checkpoint = resolve_checkpoint(options.ckpt_path or best_checkpoint(folder))
    report = {
        "folder": str(folder),
        "count": options.count,
        "command": shlex.join(["visiontasks", command, *arguments]),
    }
    callback = {"class_path": import_path(RunReport), "init_args": report}
    RunReport(**report)  # checks the count before anything is loaded
    classes = read_environment(folder)
    words = [
        f"--model={json.dumps(_model(checkpoint, classes, config))}",
        f"--data={json.dumps(data_of_run(folder, config, classes))}",
        f"--seed_everything={json.dumps(config.get('seed_everything', 0))}",
        *([f"--trainer.precision={precision}"] if (precision := config.get("trainer", {}).get("precision")) else []),
        "--trainer.logger=false",
        f"--ckpt_path={checkpoint}",
        *flags,
        f"--trainer.callbacks+={json.dumps(callback)}",
    ]
    keep_freed_memory()
    cli = TrainingCLI("test", words)
    cli.trainer.test(cli.model, cli.datamodule, ckpt_path=str(checkpoint), verbose=False)
    if cli.trainer.is_global_zero:
        print(f"Report: {folder / 'report.html'}")
    return 0


def _model(checkpoint: Path | str, classes: Environment | None, config: dict[str, Any]) -> dict[str, Any]:
    """Describe the task by the arguments saved in its checkpoint; a custom class by its path in the run folder."""
    content = read_checkpoint(checkpoint, keep=True)
    try:
        path = import_path(find_task(content, checkpoint))
    except VisiontasksError:
        path = classes.task if classes else ""
        path = path or config.get("model", {}).get("class_path", "")
        if not path:
            raise
    saved = {name: value for name, value in content["hyper_parameters"].items() if name not in FROM_DATA}
    return {"class_path": path, "init_args": saved}
