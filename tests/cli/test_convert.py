"""``convert``, ``check`` and ``fit`` on data in YOLO's form, as a user types them."""

import shlex
from pathlib import Path

import pytest

from tests.data.datamodules.image_sets import write_coco, write_voc
from visiontasks.cli import main

SMALL = [
    *("--data.num_workers", "0", "--data.batch_size", "2", "--data.shorter", "40", "--data.longer", "64"),
    *("--model", "tests.data.any_task.AnyTask", "--model.backbone_options.filters", "[4]"),
    *("--model.backbone_options.depth", "1", "--trainer.accelerator", "cpu", "--trainer.fast_dev_run", "true"),
    *("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VISIONTASKS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def convert(form: str, *more: str) -> int:
    data = ["--data", "COCODataModule", "--data.root", "coco", "--data.num_workers", "0"]
    return main(["convert", *data, "--format", form, "--output", f"my {form}", *more])


@pytest.mark.parametrize("form", ["yolo", "coco", "voc", "csv"])
def test_the_printed_flags_read_the_result(form: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(folder / "coco")
    assert convert(form) == (0 if form == "coco" else 1)
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Written to 'my {form}': 12 train, 12 val images."
    assert lines[1:] == ([] if form == "coco" else [f"not in the form of {form}: 24 x polygons of objects"])
    assert last.startswith("Read it by --data ")
    assert main(["check", *shlex.split(last.removeprefix("Read it by "))]) == 0
    assert "  circle" in capsys.readouterr().out


def test_what_was_dropped_in_reading_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "voc").mkdir()
    file = write_voc(folder / "voc") / "0.xml"
    file.write_text(file.read_text().replace("<xmin>", "<xmin>1000"))
    flags = ["--data", "VOCDataModule", "--data.root", "voc", "--format", "yolo", "--output", "out", "--images", "none"]
    assert main(["convert", *flags]) == 1
    printed = capsys.readouterr().out
    assert "Put the images into 'out/images'.\n" in printed
    assert "not read: 1 x box with swapped corners (visiontasks check lists them)\n" in printed


def test_a_task_of_boxes_trains_on_what_was_converted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(folder / "coco", 4)
    convert("yolo", "--images", "link")
    assert main(["fit", "--data", "YOLODataModule", "--data.root", "my yolo", *SMALL]) == 0
    assert "Data read: 4 training and 4 validation images.\n" in capsys.readouterr().out


def test_mistakes_are_one_message(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(folder / "coco", 2)
    for flags, message in (
        (["convert", "--format", "yolo", "--output", "out"], "ShapesDataModule has no annotations in files"),
        (["convert", "--output", "out"], "format"),
        (["convert", "--format", "tfrecord", "--output", "out"], "tfrecord"),
        (["fit", "--data", "YOLODataModule", "--data.root", "coco"], "holds none of these layouts"),
    ):
        assert main(flags) == 2
        error = capsys.readouterr().err
        assert error.count("error: ") == 1
        assert message in error
        assert "Traceback" not in error
    convert("coco")
    assert convert("coco") == 2
    assert "'my coco' is there and not empty; name a new folder." in capsys.readouterr().err
