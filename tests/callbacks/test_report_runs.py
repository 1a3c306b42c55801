"""Reports of several runs, and where they are written."""

import re
from pathlib import Path

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger

from tests.callbacks.report_runs import CLASSES, make_task, matrix, shapes
from tests.report.reading import Page
from visiontasks import ShapesDataModule
from visiontasks.callbacks.report import RunReport
from visiontasks.report import read_environment


def test_two_tests_share_no_samples_and_no_counts(tmp_path: Path) -> None:
    report = RunReport(count=3)
    trainer = Trainer(
        accelerator="cpu", logger=CSVLogger(tmp_path), callbacks=[report], enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    task = make_task("classification")
    for count in (12, 2):
        data = ShapesDataModule(train_size=8, val_size=8, test_size=count, image_size=(24, 32), batch_size=5)
        trainer.test(task, datamodule=data, verbose=False)
        page = Page((Path(str(trainer.log_dir)) / "report.html").read_text(encoding="utf-8"))
        assert sum(map(sum, matrix(page, CLASSES))) == count
        assert f"Random {min(count, 3)}" in page.text
        assert f"Worst {min(count, 3)}" in page.text
        numbers = {int(number) for number in re.findall(r"image (\d+) ·", page.text)}
        assert numbers <= set(range(count))


def test_the_folder_and_the_command_are_those_that_are_given(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    report = RunReport(count=0, folder=folder, command="visiontasks test --magic 7")
    trainer = Trainer(accelerator="cpu", logger=CSVLogger(tmp_path / "own"), callbacks=[report],
                      enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
    trainer.test(make_task("classification"), datamodule=shapes("classification"), verbose=False)
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert "visiontasks test --magic 7" in page.text
    assert "data:image/jpeg" not in page.html  # count is 0
    assert not list((tmp_path / "own").rglob("report.html"))


def test_a_training_leaves_its_command_in_the_run_folder(tmp_path: Path) -> None:
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, limit_train_batches=1, limit_val_batches=0, logger=CSVLogger(tmp_path),
        callbacks=[RunReport(command="visiontasks fit --magic 8")], enable_progress_bar=False,
        enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(make_task("classification"), datamodule=shapes("classification"))
    environment = read_environment(Path(str(trainer.log_dir)))
    assert environment is not None
    assert environment.command == "visiontasks fit --magic 8"
