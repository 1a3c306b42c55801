"""Averaged weights: the model that is validated during the fit is the one that its checkpoint holds."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, WeightAveraging
from torch import Tensor

from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    DetectionTask,
    LocalizationTask,
    SegmentationTask,
    ShapesDataModule,
)

pytestmark = pytest.mark.filterwarnings("ignore:freeze is 1, and the backbone has the random weights")

SMALL: dict[str, Any] = {"backbone": "cnn", "backbone_options": {"filters": [4, 8]}, "warmup": 0}
TASKS: dict[str, Callable[[], Any]] = {
    "classification": lambda: ClassificationTask(4, class_weights="balanced", freeze=1, **SMALL),
    "localization": lambda: LocalizationTask(4, **SMALL),
    "detection": lambda: DetectionTask(4, **SMALL, fpn_width=8, head_width=16, anchor_scales=[1.37]),
    "segmentation": lambda: SegmentationTask(5, **SMALL),
    "autoencoding": lambda: AutoencodingTask(16, image_size=(32, 32), **SMALL),
}
AVERAGING: dict[str, Callable[[], WeightAveraging]] = {
    "exponential": lambda: EMAWeightAveraging(decay=0.7),
    "late": lambda: EMAWeightAveraging(decay=0.7, update_starting_at_step=5),
    "uniform": WeightAveraging,
}


def data_of(name: str) -> ShapesDataModule:
    task: Any = "classification" if name == "autoencoding" else name
    return ShapesDataModule(task, train_size=8, val_size=4, image_size=(32, 32), batch_size=4, augmentation="none")


class Live(Callback):
    """Keeps the buffers and the scores of each validation of a fit, and saves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.buffers: list[dict[str, Tensor]] = []
        self.scores: list[dict[str, Tensor]] = []

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,  # noqa: ANN401 - of any task
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not trainer.sanity_checking:
            self.buffers.append({name: value.clone() for name, value in pl_module.named_buffers()})

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.scores.append({k: v for k, v in trainer.callback_metrics.items() if k.startswith("val/")})
            trainer.save_checkpoint(self.folder / f"{len(self.scores)}.ckpt")


@pytest.mark.parametrize(
    ("name", "averaging"),
    [*((name, "exponential") for name in TASKS), ("classification", "late"), ("localization", "uniform")],
)
def test_a_reloaded_model_is_the_one_that_was_validated(
    name: str, averaging: str, make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    task, live = TASKS[name](), Live(tmp_path)
    trainer = make_trainer(max_epochs=3, callbacks=[AVERAGING[averaging](), live])
    trainer.fit(task, data_of(name))
    assert len(live.scores) == len(live.buffers) == 3
    for epoch, (scores, buffers) in enumerate(zip(live.scores, live.buffers, strict=True), start=1):
        reloaded = type(task).load_from_checkpoint(tmp_path / f"{epoch}.ckpt")
        for key, value in reloaded.named_buffers():
            if key != "class_weights":  # measured anew at the start of a fit, not part of a model
                assert torch.equal(buffers[key], value), key
        again = make_trainer().validate(reloaded, data_of(name), verbose=False)[0]
        # Losses of measured class weights need the data of the fit.
        names = [key for key, value in again.items() if "loss" not in key and not math.isnan(value)]
        assert names
        assert {key: scores[key].item() for key in names} == {key: again[key] for key in names}


def test_before_the_averaging_starts_the_model_in_training_is_validated(
    make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    scores = []
    for callbacks in ([], [EMAWeightAveraging(update_starting_at_step=99)]):
        torch.manual_seed(0)
        live = Live(tmp_path)
        trainer = make_trainer(max_epochs=2, callbacks=[*callbacks, live])
        trainer.fit(TASKS["classification"](), data_of("classification"))
        scores.append(live.scores)
    for plain, averaged in zip(*scores, strict=True):
        torch.testing.assert_close(averaged, plain, rtol=0, atol=0, equal_nan=True)


def test_a_frozen_weight_does_not_drift(make_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    task = TASKS["classification"]()
    before = {name: value.clone() for name, value in task.backbone.stage_modules()[0][0].state_dict().items()}
    live = Live(tmp_path)
    make_trainer(max_epochs=3, callbacks=[EMAWeightAveraging(decay=0.7), live]).fit(task, data_of("classification"))
    saved = ClassificationTask.load_from_checkpoint(tmp_path / "3.ckpt").backbone.stage_modules()[0][0].state_dict()
    assert before
    assert all(torch.equal(before[name], value) for name, value in saved.items())
