"""The configuration of a run in its folder."""

import re
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from visiontasks.callbacks.pictures import run_folder
from visiontasks.cli.run_data import read_config
from visiontasks.errors import ArgumentError
from visiontasks.files import OptionalFiles, write_atomically

CONFIG_FILE = "config.yaml"
"""Name of the file in a run folder."""


class SaveConfig(SaveConfigCallback):
    """Saves the configuration in the run folder if there is one; that of an earlier process is kept beside it.

    The earlier one is replaced when training starts: until then a command may fail, and the run is as it was.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the configuration of a new run."""
        self._write(trainer, replace=False)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the configuration of a run that goes on."""
        self._write(trainer, replace=True)

    def _write(self, trainer: Trainer, *, replace: bool) -> None:
        folder = run_folder(trainer)  # all processes have to ask
        if folder is None or not trainer.is_global_zero or self.already_saved:
            return
        if (folder / CONFIG_FILE).exists() and not replace:
            return
        self.already_saved = True
        with OptionalFiles("configurations").in_folder(folder):
            keep_config(folder / CONFIG_FILE, self.parser.dump(self.config, skip_none=False))


def check_goes_on(folder: Path, config: Namespace) -> None:
    """Check that a command goes on with the task and the data of a run.

    Args:
        folder: The run folder; without a configuration in it nothing is checked.
        config: The configuration of the command.

    Raises:
        ArgumentError: If the class of the task or of the data, or the folder of the data, is another one. A folder that
            is gone has been moved, or was a copy on the disk of another machine.
    """
    if not (folder / CONFIG_FILE).is_file():
        return
    before, now = _choices(read_config(folder)), _choices(config)
    # A class may have several import paths.
    classes = [flag for flag in ("model", "data") if flag in before and flag in now]
    changed: set[str] = {flag for flag in classes if before[flag].rpartition(".")[2] != now[flag].rpartition(".")[2]}
    if "data" in changed or _is_elsewhere(before.get("data.root"), now.get("data.root")):
        changed.add("data.root")
    if changed:
        message = (
            f"The run in {str(folder)!r} was trained with {_as_flags(before, changed)}, and this command has "
            f"{_as_flags(now, changed)}. To go on, give --config {folder / CONFIG_FILE}, or the flags that it was "
            "trained with; for another task or other data, begin a new run by --run NAME without --ckpt_path."
        )
        raise ArgumentError(message)


def _choices(config: Mapping[str, Any] | Namespace) -> dict[str, str]:
    """Find the classes of task and data, which recipes do not write down, and the folder of the data."""
    model, data = config.get("model"), config["data"]
    chosen = {
        "model": model.get("class_path") if model else None,
        "data": data.get("class_path"),
        "data.root": (data.get("init_args") or data).get("root"),
    }
    return {flag: str(value) for flag, value in chosen.items() if value is not None}


def _is_elsewhere(before: str | None, now: str | None) -> bool:
    if before is None or now is None:
        return False
    return Path(before).exists() and Path(before).resolve() != Path(now).resolve()


def _as_flags(choices: Mapping[str, str], flags: set[str]) -> str:
    shown = {flag: value for flag, value in choices.items() if flag in flags}
    return " ".join(
        f"--{flag} {value.rpartition('.')[2] if value.startswith('visiontasks.') else value}"
        for flag, value in shown.items()
    )


def keep_config(file: Path, text: str) -> None:
    """Write the configuration of a run; an earlier one that differs is kept as ``config-N.yaml``."""
    if file.is_file() and _without_checkpoint(file.read_text(encoding="utf-8")) != _without_checkpoint(text):
        number = next(n for n in count(1) if not file.with_stem(f"{file.stem}-{n}").exists())
        file.rename(file.with_stem(f"{file.stem}-{number}"))
    write_atomically(file, text)


def _without_checkpoint(text: str) -> str:
    return re.sub(r"^ckpt_path:.*\n", "", text, flags=re.MULTILINE)
