"""Localization from the command line: fit, test, predict, show, and data that are wrong."""

import csv
import re
from pathlib import Path

import pytest
from PIL import Image

from tests.data.datamodules.image_sets import shapes, write_coco
from visiontasks import LocalizationTask
from visiontasks.cli import main

SMALL = [
    *("--model", "LocalizationTask", "--model.backbone_options", '{"filters": [4, 8], "depth": 1}'),
    *("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
]
SHAPES = [
    *("--data", "ShapesDataModule", "--data.task", "localization", "--data.image_size", "[24, 32]"),
    *("--data.train_size", "16", "--data.val_size", "6", "--data.test_size", "6", "--data.batch_size", "8"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def size_of(file: Path) -> tuple[int, int]:
    with Image.open(file) as picture:
        return picture.size


def test_fit_test_predict_and_show(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *SMALL, *SHAPES, "--model.box_loss", "ciou"]) == 0
    run = folder / "runs" / "fit" / "version_0"
    assert "val/localization_error" in capsys.readouterr().out
    assert size_of(run / "predictions" / "val_epoch_0.png")[0] > 6 * 200
    (best,) = (run / "checkpoints").glob("epoch*.ckpt")
    assert LocalizationTask.load_from_checkpoint(best).box_loss == "ciou"
    assert main(["test", "--ckpt_path", str(best), *SHAPES, "--trainer.enable_progress_bar", "false"]) == 0
    assert re.search(r"test/mean_iou\s+0\.\d", capsys.readouterr().out)

    (folder / "images").mkdir()
    for number, shape in enumerate(shapes(3)):
        Image.fromarray(shape.pixels).save(folder / "images" / f"{number}.png")
    assert main(["predict", str(best), "images"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert len(rows) == 3
    for row in rows:
        width, height = size_of(Path(row["file"]))
        assert row["class"] in ("circle", "square", "triangle", "star")
        assert 0 <= float(row["xmin"]) < float(row["xmax"]) <= width
        assert 0 <= float(row["ymin"]) < float(row["ymax"]) <= height

    assert main(["show", *SHAPES, "--n", "3", "--data.augmentation", "strong", "--output", "some.png"]) == 0
    assert "HorizontalFlip" in capsys.readouterr().out
    assert (folder / "some.png").exists()


def test_coco_trains_on_the_largest_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(folder / "coco")
    data = ["--data", "COCODataModule", "--data.root", "coco", "--data.task", "localization", "--data.num_workers", "0"]
    augmentation = ["--data.augmentation", '{"HorizontalFlip": {"p": 0.5}, "ColorMatrix": {"hue": 0.1}}']
    assert main(["fit", *SMALL, *data, *augmentation, "--data.image_size", "[32, 32]"]) == 0
    assert "val/localization_error" in capsys.readouterr().out


def test_a_box_of_nan_is_named_before_training(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["split,filename,class,xmin,ymin,xmax,ymax"]
    for split in ("train", "val"):
        for number, shape in enumerate(shapes(4)):
            name = f"{split}_{number}.png"
            Image.fromarray(shape.pixels).save(folder / name)
            corner = "nan" if (split, number) == ("train", 2) else "30"
            rows.append(f"{split},{name},cat,1,2,{corner},35")
    (folder / "table.csv").write_text("\n".join(rows))
    data = ["--data", "CSVDataModule", "--data.root", ".", "--data.task", "localization"]
    assert main(["fit", *SMALL, *data]) == 2
    printed = capsys.readouterr().err
    assert "box is not finite" in printed
    assert "table.csv, line 4" in printed
    assert not (folder / "runs").exists()
