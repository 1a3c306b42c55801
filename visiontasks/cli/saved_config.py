"""The configuration of a run in its folder."""

import re
from itertools import count
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from visiontasks.callbacks.pictures import run_folder
from visiontasks.files import OptionalFiles, write_atomically


class SaveConfig(SaveConfigCallback):
    """Saves the configuration in the run folder if there is one; that of an earlier process is kept beside it."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the configuration; all processes have to ask for the folder."""
        folder = run_folder(trainer)
        if folder is None or not trainer.is_global_zero or self.already_saved:
            return
        self.already_saved = True
        with OptionalFiles("configurations").in_folder(folder):
            keep_config(folder / "config.yaml", self.parser.dump(self.config, skip_none=False))


def keep_config(file: Path, text: str) -> None:
    """Write the configuration of a run; an earlier one that differs is kept as ``config-N.yaml``."""
    if file.is_file() and _without_checkpoint(file.read_text(encoding="utf-8")) != _without_checkpoint(text):
        number = next(n for n in count(1) if not file.with_stem(f"{file.stem}-{n}").exists())
        file.rename(file.with_stem(f"{file.stem}-{number}"))
    write_atomically(file, text)


def _without_checkpoint(text: str) -> str:
    return re.sub(r"^ckpt_path:.*\n", "", text, flags=re.MULTILINE)
