"""The report of a run, from the command line."""

import shutil
from pathlib import Path

import pytest

from tests.report.reading import Page, check_self_contained
from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.cli import main
from visiontasks.cli.training import run_recipe

DATA = "--data.train_size 24 --data.val_size 8 --data.test_size 8 --data.batch_size 8 --data.image_size [24,24]"
QUIET = "--trainer.accelerator cpu --trainer.enable_progress_bar false --trainer.enable_model_summary false"
MODEL = "--model.backbone_options.filters [4,8] --model.backbone_options.depth 1"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(file: Path) -> Page:
    page = Page(file.read_text(encoding="utf-8"))
    check_self_contained(page)
    return page


def test_a_run_is_reported_with_its_training(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit = f"fit {DATA} {MODEL} {QUIET} --trainer.max_epochs 2 --seed_everything 3"
    assert main(fit.split()) == 0
    run = folder / "runs" / "fit" / "version_0"
    assert not (run / "report.html").exists()  # nothing was tested
    before = {path.name for path in run.iterdir()}
    assert {"environment.json", "config.yaml"} <= before
    capsys.readouterr()

    assert main(["report", str(run), "--count", "2", *QUIET.split()]) == 0
    assert "Report: " in capsys.readouterr().out
    assert {path.name for path in run.iterdir()} == before | {"report.html"}
    page = read(run / "report.html")
    assert f"visiontasks {fit.replace('[', chr(39) + '[').replace(']', ']' + chr(39))}" in page.text
    assert f"visiontasks report {run} --count 2" in page.text
    for text in ("24 train, 8 val, 8 test", "seed_everything: 3", "Best 2", "epoch", "Epochs trained2"):
        assert text in page.text
    assert page.tags.count("svg") >= 4
    reported = page.table("metric", "value")

    # A test of the same checkpoint has the same numbers and the same curves, in a folder of its own.
    checkpoint = next((run / "checkpoints").glob("epoch*.ckpt"))
    assert main(f"test --ckpt_path {checkpoint} {DATA} {QUIET} --data.seed 3".split()) == 0
    assert "report.html" in capsys.readouterr().out
    tested = read(folder / "runs" / "test" / "version_0" / "report.html")
    assert tested.table("metric", "value") == reported
    assert tested.tags.count("svg") == page.tags.count("svg")
    assert main(f"test --ckpt_path {checkpoint} {DATA} {QUIET} --report false --shown []".split()) == 0
    assert {path.name for path in (folder / "runs" / "test" / "version_1").iterdir()} == {"hparams.yaml", "metrics.csv"}


def test_a_recipe_reports_itself_and_can_be_reported_again(folder: Path) -> None:
    flags = f"{DATA} {QUIET} --trainer.max_epochs 1".split()
    choices = {"model.backbone_options": {"filters": [4, 8], "depth": 1}}
    run_recipe("shapes", ClassificationTask, ShapesDataModule, choices, flags)
    run = folder / "runs" / "shapes" / "version_0"
    first = read(run / "report.html")
    assert "Training and test" in first.text
    (run / "report.html").unlink()
    # The configuration of a recipe does not name the classes; environment.json does.
    assert main(["report", str(run), *QUIET.split()]) == 0
    assert read(run / "report.html").table("metric", "value") == first.table("metric", "value")
    (run / "environment.json").unlink()
    assert main(["report", str(run)]) == 2


def test_a_folder_that_lacks_something_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder / "run"
    (run / "below").mkdir(parents=True)

    def message() -> str:
        assert main(["report", "run"]) == 2
        printed = capsys.readouterr().err
        assert "Traceback" not in printed
        return printed

    assert "'run' is no run folder: it has no config.yaml" in message()
    (run / "below" / "config.yaml").write_text("a: 1")
    assert "Below it are: run/below." in message()
    shutil.copy(run / "below" / "config.yaml", run)
    assert "has no section 'data'" in message()
    (run / "config.yaml").write_text("a: [")
    assert "cannot be read as YAML" in message()
    (run / "config.yaml").write_text("data: {class_path: visiontasks.ShapesDataModule}")
    assert "There is no checkpoint in 'run': it holds below/, config.yaml" in message()
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.ckpt").write_bytes(b"no checkpoint")
    assert "last.ckpt" in message()
    assert main(["report", "run", "--count", "99"]) == 2
    assert "count is 99" in capsys.readouterr().err
