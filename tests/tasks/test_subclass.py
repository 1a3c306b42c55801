"""A subclass as a user would write it: its own loss and its own metric in ten lines."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torchmetrics.classification import MulticlassAUROC

from visiontasks import ClassificationBatch, ClassificationTask, ShapesDataModule
from visiontasks.testing import check_task


class FocalTask(ClassificationTask):
    """Classification with a focal loss of its own; logs the area under the ROC curve."""

    def __init__(self, gamma: float = 2.0, **kwargs: Any) -> None:  # noqa: ANN401 - the arguments of ClassificationTask
        super().__init__(**kwargs)
        self.gamma = gamma
        self.add_metrics({"auroc": MulticlassAUROC(self.num_classes)})

    def losses(self, outputs: Tensor, batch: ClassificationBatch) -> dict[str, Tensor]:
        log_p = F.log_softmax(outputs, 1).gather(1, batch.labels[:, None])
        return {"focal": (-((1 - log_p.exp()) ** self.gamma) * log_p).mean()}


def make_data() -> ShapesDataModule:
    return ShapesDataModule(train_size=12, val_size=8, test_size=2, image_size=(20, 20), batch_size=4)


def make_task() -> FocalTask:
    return FocalTask(gamma=3.0, num_classes=4, backbone_options={"filters": [4, 8], "depth": 1})


def make_trainer(folder: Path, epochs: int) -> Trainer:
    return Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        logger=CSVLogger(folder),
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_it_keeps_the_contract() -> None:
    data = make_data()
    data.setup("fit")
    check_task(make_task(), next(iter(data.train_dataloader())))


def test_it_trains_resumes_and_reloads(tmp_path: Path) -> None:
    task, trainer = make_task(), make_trainer(tmp_path, epochs=1)
    trainer.fit(task, datamodule=make_data())
    metrics = trainer.callback_metrics
    assert {"train/loss", "val/loss", "val/accuracy", "val/auroc"} <= metrics.keys()
    trainer.save_checkpoint(tmp_path / "focal.ckpt")

    loaded = FocalTask.load_from_checkpoint(tmp_path / "focal.ckpt")
    assert loaded.gamma == 3.0
    images = torch.randint(256, (2, 3, 20, 20), dtype=torch.uint8)
    assert torch.equal(task.eval()(images), loaded.eval()(images))
    (again,) = make_trainer(tmp_path, epochs=1).validate(loaded, datamodule=make_data(), verbose=False)
    assert again["val/auroc"] == metrics["val/auroc"]

    trainer = make_trainer(tmp_path, epochs=2)
    trainer.fit(make_task(), datamodule=make_data(), ckpt_path=tmp_path / "focal.ckpt")
    assert (trainer.current_epoch, trainer.global_step) == (2, 6)
    header = Path(str(trainer.log_dir), "metrics.csv").read_text().partition("\n")[0]
    assert "val/auroc" in header.split(",")
