"""The best checkpoint knows the figures of its epoch."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from visiontasks.callbacks import BestCheckpoint, LastCheckpoint


class Script(LightningModule):
    """Logs what is written: the loss of each validation, and the loss of each epoch of training."""

    def __init__(self, validations: list[float]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.validations = validations
        self.validated = 0

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.log("train/loss", 100.0 + self.current_epoch, on_step=False, on_epoch=True)
        return self.weight.sum()

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("val/loss", self.validations[self.validated])
        self.log("val/number", float(self.validated))

    def on_validation_epoch_end(self) -> None:
        self.validated += 1

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["validated"] = self.validated

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.validated = checkpoint["validated"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters())


def fit(script: Script, folder: Path, ckpt_path: Path | None = None, **options: Any) -> BestCheckpoint:  # noqa: ANN401 - of a Trainer
    best = BestCheckpoint()
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(
        accelerator="cpu", num_sanity_val_steps=0, default_root_dir=folder, callbacks=[best, LastCheckpoint()],
        **(quiet | options),
    )  # fmt: skip
    data: Any = DataLoader([1.0, 2.0])  # type: ignore[arg-type]  # a list is enough
    trainer.fit(script, data, data, ckpt_path=ckpt_path)
    return best


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.parametrize(
    ("losses", "options", "epoch", "number"),
    [
        ([3.0, 1.0, 2.0], {}, 1, 1),
        ([3.0, 2.0, 1.0], {}, 2, 2),
        ([3.0, 4.0, 1.0, 2.0, 5.0, 6.0], {"val_check_interval": 0.5}, 1, 2),
    ],
)
def test_the_figures_are_those_of_its_epoch(
    losses: list[float], options: dict[str, Any], epoch: int, number: int, tmp_path: Path
) -> None:
    best = fit(Script(losses), tmp_path, max_epochs=3, **options)
    assert best.epoch == epoch
    assert Path(best.best_model_path).name.startswith(f"epoch{epoch}-")
    assert best.figures == {"val/loss": 1.0, "val/number": number, "train/loss": 100 + epoch}


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.parametrize(
    ("name", "more"), [("last.ckpt", {"train/loss": 101}), ("epoch1-val_loss1.0000.ckpt", {})]
)  # the second is saved in the middle of the epoch, of whose training Lightning remembers nothing
def test_a_run_that_goes_on_remembers_them(name: str, more: dict[str, float], tmp_path: Path) -> None:
    losses = [3.0, 1.0, 2.0, 4.0]
    fit(Script(losses), tmp_path, max_epochs=2)
    best = fit(Script(losses), tmp_path, tmp_path / "checkpoints" / name, max_epochs=4)
    assert best.epoch == 1
    assert best.figures == {"val/loss": 1.0, "val/number": 1, **more}
