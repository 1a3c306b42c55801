"""The report of a run, from the command line."""

import json
import shlex
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch import Trainer

from tests.report.reading import Page, check_self_contained
from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.cli import main, report
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

    assert "'run' is not a run folder: it has no config.yaml" in message()
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


@pytest.mark.parametrize("precision", [None, "bf16-mixed"])
def test_the_test_of_a_report_has_what_the_run_had(
    precision: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = folder / "a run"
    run.mkdir()
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    task = ClassificationTask(4, dropout=0.25)
    task.trainer = trainer
    trainer.strategy.connect(task)
    trainer.save_checkpoint(run / "other.ckpt", weights_only=True)
    trainer.save_checkpoint(run / "checkpoints" / "last.ckpt", weights_only=True)
    data = {"class_path": "visiontasks.ShapesDataModule", "init_args": {"train_size": 5}}
    (run / "config.yaml").write_text(
        json.dumps({"data": data, "seed_everything": 3, "trainer": {"precision": precision}})
    )
    noted: list[Any] = []

    class Noting:
        """Stands in for the command line of a test."""

        def __init__(self, command: str, words: list[str]) -> None:
            noted.extend([command, words])
            test = lambda *given, **options: noted.append((given, options))  # noqa: E731
            self.model, self.datamodule = "the model", "the data"
            self.trainer = SimpleNamespace(test=test, is_global_zero=True)

    monkeypatch.setattr(report, "TrainingCLI", Noting)
    count = ["--count", "3"] if precision else []
    arguments = ["a run", *count, "--ckpt_path", "a run/other.ckpt", "--data.batch_size", "7"]
    assert main(["report", *arguments]) == 0
    command, words, (given, options) = noted
    assert command == "test"
    flags = dict(word.split("=", 1) for word in words if "=" in word)
    model = json.loads(flags.pop("--model"))
    assert model["class_path"] == "visiontasks.tasks.classification.ClassificationTask"
    assert model["init_args"]["dropout"] == 0.25
    assert not model["init_args"].keys() & {"num_classes", "in_channels", "image_size"}
    callback = json.loads(flags.pop("--trainer.callbacks+"))
    assert callback["class_path"].endswith(".RunReport")
    line = shlex.join(["visiontasks", "report", *arguments])
    assert callback["init_args"] == {"folder": "a run", "count": 3 if precision else 8, "command": line}
    assert json.loads(flags.pop("--data")) == data
    expected = {"--seed_everything": "3", "--trainer.logger": "false", "--ckpt_path": "a run/other.ckpt"}
    assert flags == expected | ({"--trainer.precision": precision} if precision else {})
    # Flags of the user stand behind those of the run, and win.
    assert words[-3:-1] == ["--data.batch_size", "7"]
    assert (given, options) == (("the model", "the data"), {"ckpt_path": "a run/other.ckpt", "verbose": False})
    assert capsys.readouterr().out.endswith("Report: a run/report.html\n")
