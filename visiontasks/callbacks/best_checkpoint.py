"""The best checkpoint of a run, and what was logged of its epoch."""

import os
import warnings
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from visiontasks.callbacks.pictures import run_folder

FOLDER = "checkpoints"
"""Name of the folder of checkpoints in a run folder."""


class BestCheckpoint(ModelCheckpoint):
    """Saves the best checkpoint of a run, ``checkpoints/epochN-METRICvalue.ckpt``; it is remembered in a moved folder.

    Args:
        monitor: The metric that is compared.
        mode: ``"min"`` or ``"max"``: which value of it is the best.

    Attributes:
        epoch: The epoch that it was saved in, from 0 on; -1 before.
        figures: What was logged of that epoch.
    """

    def __init__(self, monitor: str = "val/loss", mode: str = "min") -> None:
        name = "epoch{epoch}-" + monitor.replace("/", "_") + "{" + monitor + ":.4f}"
        super().__init__(monitor=monitor, mode=mode, filename=name, auto_insert_metric_name=False)
        self.epoch = -1
        self.figures: dict[str, float] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Choose the folder, which may hold the checkpoints of a run that goes on."""
        if stage == "fit" and self.dirpath is None:
            self.dirpath = os.fspath(checkpoint_folder(trainer))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
            super().setup(trainer, pl_module, stage)

    def _update_best_and_save(self, current: Tensor, trainer: Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        self.epoch = trainer.current_epoch
        # Those of the training are still of the epoch before.
        self.figures = {name: value for name, value in _logged(trainer).items() if not name.startswith("train/")}
        super()._update_best_and_save(current, trainer, monitor_candidates)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the checkpoint if it is the best one; add what was logged of the training in its epoch."""
        super().on_train_epoch_end(trainer, pl_module)
        if self.epoch == trainer.current_epoch:
            self.figures = {**_logged(trainer), **self.figures}

    def state_dict(self) -> dict[str, Any]:
        """Return what a run that goes on has to know."""
        return {**super().state_dict(), "epoch": self.epoch, "figures": self.figures}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember the best checkpoint and its score: in this folder if it is there, otherwise where it was."""
        # Checkpoints made by earlier releases have neither.
        self.epoch, self.figures = state_dict.get("epoch", -1), state_dict.get("figures", {})

        def present(path: str) -> str:
            moved = Path(self.dirpath or "", Path(path).name)
            return os.fspath(moved) if path and moved.is_file() else path

        known = {present(path): score for path, score in state_dict["best_k_models"].items()}
        names = ("best_model_path", "kth_best_model_path", "last_model_path")
        paths = {name: present(state_dict[name]) for name in names}
        super().load_state_dict({**state_dict, **paths, "best_k_models": known, "dirpath": self.dirpath})


def checkpoint_folder(trainer: Trainer) -> Path:
    """Find the folder of the checkpoints of a run; all processes have to ask."""
    folder = run_folder(trainer)
    if folder is None and trainer.loggers:
        # Of Weights & Biases alone, as by Lightning's ModelCheckpoint.
        logger = trainer.loggers[0]
        parts = (logger.save_dir or trainer.default_root_dir, str(logger.name), str(logger.version))
        folder = Path(trainer.strategy.broadcast(os.path.join(*parts)))  # noqa: PTH118 (an address as well)
    return (folder or Path(trainer.default_root_dir)) / FOLDER


def _logged(trainer: Trainer) -> dict[str, float]:
    return {name: value.item() for name, value in trainer.callback_metrics.items()}
