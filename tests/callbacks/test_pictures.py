from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger

from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.callbacks import pictures
from visiontasks.callbacks.confusion import ConfusionImages
from visiontasks.callbacks.pictures import EvaluationPictures


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["val_epoch_0", "val_epoch_1"]),
        ({"val_check_interval": 0.5}, [f"val_epoch_{step // 5}_step_{step}" for step in (2, 4, 6, 8)]),
        ({"val_check_interval": 3, "check_val_every_n_epoch": None}, ["val_epoch_0_step_3", "val_epoch_1_step_6"]),
    ],
)
def test_every_validation_has_a_picture_of_its_own(
    options: dict[str, Any], expected: list[str], make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    trainer = make_trainer(
        max_epochs=2,
        num_sanity_val_steps=0,
        logger=CSVLogger(tmp_path, name="", version="run"),
        callbacks=[ConfusionImages()],
        log_every_n_steps=1,
        **options,
    )
    task = ClassificationTask(4, backbone_options={"filters": [4], "depth": 1})
    trainer.fit(task, ShapesDataModule(train_size=8, val_size=2, image_size=(16, 16), batch_size=2))
    assert sorted(path.stem for path in (tmp_path / "run" / "confusion").glob("*.png")) == expected


class Recorded(EvaluationPictures):
    """Notes how it is called, and shows one picture of each evaluation."""

    title = "recorded"

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []

    def begin(self) -> None:
        self.calls.append("begin")

    def look(self, trainer: Any, task: Any, predictions: Any, batch: Any, index: int, stage: str, name: str) -> None:  # noqa: ANN401 (as the base)
        self.calls.append((stage, name, index, len(batch.images)))

    def finish(self, trainer: Any, task: Any, stage: str, name: str) -> None:  # noqa: ANN401 (as the base)
        self.calls.append((stage, name))
        self.show(f"{stage}/recorded", name, torch.zeros(3, 4, 4, dtype=torch.uint8))


def small() -> tuple[ClassificationTask, ShapesDataModule]:
    data = ShapesDataModule(train_size=4, val_size=3, test_size=3, image_size=(16, 16), batch_size=2)
    return ClassificationTask(4, backbone_options={"filters": [4], "depth": 1}), data


@pytest.mark.parametrize("stage", ["val", "test"])
def test_each_of_two_loaders_is_an_evaluation(
    stage: str, make_trainer: Callable[..., Trainer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags: list[str] = []
    monkeypatch.setattr(pictures, "_send", lambda trainer, shown: tags.append(shown.tag))
    task, data = small()
    data.setup("fit")
    data.setup("test")
    callback = Recorded()
    trainer = make_trainer(logger=CSVLogger(tmp_path, name="", version="run"), callbacks=[callback])
    loaders: Any = [data.val_dataloader(), data.test_dataloader()]
    (trainer.validate if stage == "val" else trainer.test)(task, dataloaders=loaders, verbose=False)
    name = "val_epoch_0" if stage == "val" else "test"
    once = ["begin", (stage, name, 0, 2), (stage, name, 1, 1), (stage, name)]
    assert callback.calls == once * 2
    files = sorted(path.stem for path in (tmp_path / "run" / "recorded").glob("*.png"))
    assert files == [name, f"{name}_dataloader_idx_1"]
    assert tags == [f"{stage}/recorded", f"{stage}/recorded/dataloader_idx_1"]


def test_the_sanity_check_is_not_shown(make_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    task, data = small()
    callback = Recorded()
    logger = CSVLogger(tmp_path, name="", version="run")
    trainer = make_trainer(
        max_epochs=1, num_sanity_val_steps=1, logger=logger, callbacks=[callback], log_every_n_steps=1
    )
    trainer.fit(task, data)
    shown = [call for call in callback.calls if call != "begin"]
    assert shown == [("val", "val_epoch_0", 0, 2), ("val", "val_epoch_0", 1, 1), ("val", "val_epoch_0")]


def test_loggers_get_pictures_at_the_step_of_training() -> None:
    board, table = Mock(TensorBoardLogger), Mock(WandbLogger)
    trainer: Any = Mock(Trainer, loggers=[board, table, Mock(CSVLogger)], global_step=7)
    picture = torch.zeros(3, 4, 4, dtype=torch.uint8)
    pictures._send(trainer, pictures._Shown("val/a", picture, lambda: "native"))
    board.experiment.add_image.assert_called_once_with("val/a", picture, 7)
    table.log_metrics.assert_called_once_with({"val/a": "native"}, 7)


def test_weights_and_biases_has_no_run_folder_but_what_stands_before_it_has() -> None:
    browser: Any = Mock(WandbLogger)
    disk: Any = Mock(CSVLogger)
    for loggers, expected in (([browser, disk], None), ([disk, browser], Path("runs")), ([], None)):
        assert pictures.run_folder(Mock(Trainer, loggers=loggers, log_dir="runs")) == expected


def test_nothing_is_shown_without_a_destination(tmp_path: Path) -> None:
    callback = Recorded()
    for first, loggers, folder, expected in (
        (True, [], None, False), (True, [1], None, True), (True, [], tmp_path, True), (False, [1], tmp_path, False)
    ):  # fmt: skip
        callback._files.begin(folder)
        assert callback.shows(Mock(Trainer, is_global_zero=first, loggers=loggers)) is expected
