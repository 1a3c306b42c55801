"""``visiontasks predict``, as a user types it, in a folder that holds the checkpoint and pictures and nothing else."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.prediction.small_tasks import TASKS, save_task, write_pictures
from visiontasks.cli import main
from visiontasks.data.images.mask_reading import read_mask
from visiontasks.prediction import predict_images
from visiontasks.visualization import voc_color_map

GOOD = 6
SIZES = {  # height, width as displayed
    "a b": (33, 21), "deeper/turned": (40, 24), "grey": (20, 31), "grey16": (30, 26), "printed": (20, 22),
    "é alpha": (28, 20),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_pictures(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checkpoint(kind: str) -> str:
    task = TASKS[kind]()
    if kind == "detection":
        task.view = {"policy": "Within", "shorter": 64, "longer": 96, "multiple": 32}
    save_task(task, Path("x.ckpt"))
    return "x.ckpt"


def run(*words: str) -> int:
    return main(["predict", *words, "--device", "cpu"])


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "binary", "localization", "detection"])
def test_each_task_writes_its_results_and_pictures(kind: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = checkpoint(kind)
    assert run(path, "in", "-o", "out.jsonl", "--overlays", "pictures") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "skipped: 'in/half.jpg' could not be read" in printed.err
    assert "skipped: 'in/text.jpg' could not be read" in printed.err
    assert f"{GOOD} of 8 images predicted into 'out.jsonl' in" in printed.err
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    expected = [prediction.as_dict() for prediction in predict_images(path, "in")]
    for line, known in zip(lines, expected, strict=True):
        assert line["file"] == known["file"]
        entries = line.get("objects", line.get("classes", []))
        others = known.get("objects", known.get("classes", []))
        assert [entry["class"] for entry in entries] == [other["class"] for other in others]
        for entry, other in zip(entries, others, strict=True):
            assert entry["score"] == pytest.approx(other["score"], abs=1e-5)
            assert entry.get("box") == pytest.approx(other.get("box"), abs=1e-2)
    for name, size in SIZES.items():
        with Image.open(folder / "pictures" / f"{name}.jpg") as picture:
            assert picture.size == size[::-1]
    assert not (folder / "pictures" / "text.jpg").exists()
    assert run(path, "in/a b.png", "in/grey.png") == 0
    assert len(list(csv.reader(capsys.readouterr().out.splitlines()))) >= (0 if kind == "detection" else 3)


def test_a_segmentation_writes_masks_and_pictures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = checkpoint("segmentation")
    words = ["--window", "32", "32", "--flips", "both", "--scales", "1", "0.5", "--overlays", "pictures"]
    assert run(path, "in", "-o", "out", *words) == 1
    assert "half.jpg" in capsys.readouterr().err
    for name, size in SIZES.items():
        with Image.open(folder / "out" / f"{name}.png") as mask:
            assert mask.mode == "P"
            assert np.array_equal(np.array(mask.getpalette()).reshape(-1, 3), voc_color_map())
        values = read_mask(folder / "out" / f"{name}.png")
        assert values.shape == size
        assert set(np.unique(values)) <= {0, 1, 2}
        with Image.open(folder / "pictures" / f"{name}.jpg") as picture:
            assert picture.size == size[::-1]
    assert run(path, "in/grey.png", "-f", "jsonl") == 0
    assert json.loads(capsys.readouterr().out)["classes"][0]["mask"]["size"] == [20, 31]


@pytest.mark.parametrize("form", ["coco", "voc", "csv"])
@pytest.mark.parametrize("kind", ["localization", "detection"])
def test_boxes_have_formats_of_their_own(kind: str, form: str, folder: Path) -> None:
    path = checkpoint(kind)
    assert run(path, "in/a b.png", "in/grey.png", "-f", form, "-o", "out") == 0
    if form == "coco":
        entries = json.loads(Path("out").read_text())
        assert {entry["image_id"] for entry in entries} == {1, 2}
        assert {entry["category_id"] for entry in entries} <= {1, 2}
    elif form == "voc":
        assert sorted(file.name for file in Path("out").iterdir()) == ["a b.xml", "grey.xml"]
    else:
        assert Path("out").read_text().startswith("file,label,class,score,xmin")


WRONG = {
    "x.ckpt in -f voc -o out": "format is 'voc', which a SegmentationTask has no results for. Known: 'coco', 'jsonl'",
    "x.ckpt in": "The format 'png' is a file for each image: give a folder to write into",
    "x.ckpt in -o in": "is an image to be predicted, and a result of that name would replace it",
    "x.ckpt in -f jsonl -o in": "The format 'jsonl' is one file, and 'in' is a folder",
    "x.ckpt nowhere -o out": "'nowhere' is no file, folder with images, list of them, or pattern",
    "x.ckpt in -o out --score 0.5": "score is for a DetectionTask",
    "x.ckpt in -o out --annotations a.json": "annotations are for the format 'coco'",
    "x.ckpt in -o out --batch_size 0": "batch_size is 0",
    "gone.ckpt in -o out": "There is no checkpoint 'gone.ckpt'",
    "x.ckpt in -o out --task pathlib.Path": "is not a subclass of visiontasks.Task",
    "x.ckpt in -f jsonl -o x.ckpt/out.jsonl": "'x.ckpt': File exists. Choose another place to write to.",
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_options_give_one_message(words: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint("segmentation")
    before = sorted(folder.rglob("*"))
    assert run(*words.split()) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert WRONG[words] in printed
    assert sorted(folder.rglob("*")) == before


def test_a_device_that_there_is_not_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", checkpoint("multiclass"), "in", "--device", "gpu"]) == 2
    assert capsys.readouterr().err.startswith("error: device is 'gpu': ")


def test_nothing_readable_is_a_failure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(checkpoint("multiclass"), "in/text.jpg") == 1
    assert "0 of 1 images predicted" in capsys.readouterr().err


def test_in_a_process_of_its_own(folder: Path) -> None:
    command = [sys.executable, "-W", "error::UserWarning", "-m", "visiontasks", "predict", checkpoint("binary"), "in"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == 1, done.stderr
    assert len(done.stdout.splitlines()) == 1 + GOOD
    assert "Traceback" not in done.stderr
