"""``visiontasks predict``, as a user types it, in a folder that holds the checkpoint and pictures and nothing else."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.prediction.small_tasks import NAMES, SMALL, TASKS, save_task, write_pictures
from visiontasks import ClassificationTask, SegmentationTask
from visiontasks.cli import main
from visiontasks.data.images.mask_reading import read_mask
from visiontasks.data.images.reading import read_image
from visiontasks.data.index.proposal_files import ProposalFile, image_names
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


def assert_scaled(found: tuple[int, int], size: tuple[int, int]) -> None:
    """Assert that a picture, (width, height), is as large as its file, or that many times for small ones."""
    factor = found[0] // size[1]
    assert found == (size[1] * factor, size[0] * factor)


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
            assert_scaled(picture.size, size)
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
            assert_scaled(picture.size, size)
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
    "x.ckpt nowhere -o out": "'nowhere' is not a file, a folder with images, a list of them or a pattern",
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


Calls = Callable[[str, str], list[dict[str, Any]]]


class MySegmentation(SegmentationTask):
    """A segmentation of a user."""


def test_every_option_of_a_segmentation_reaches_what_it_names(folder: Path, calls: Calls) -> None:
    watched = {
        name: calls("visiontasks.prediction.predicting", name) for name in ("create_predictor", "predict_images")
    }
    save_task(MySegmentation(3, NAMES, backbone_options=SMALL), Path("x.ckpt"))
    words = "--window 16 24 --overlap 0.5 --windows_at_once 2 --flips both --scales 1 0.5 --image_size 40 32"
    more = f"--batch_size 3 --max_pixels 5000 --task {__name__}.MySegmentation -f png -o out"
    assert run("x.ckpt", "in/grey.png", *words.split(), *more.split()) == 0
    (created,) = watched["create_predictor"]
    assert isinstance(created.pop("model"), MySegmentation)
    assert [created] == [
        {
            "device": "cpu",
            "image_size": (40, 32),
            "score": None,
            "proposals": None,
            "window": (16, 24),
            "overlap": 0.5,
            "flips": "both",
            "scales": [1.0, 0.5],
            "windows_at_once": 2,
        }
    ]
    (predicted,) = watched["predict_images"]
    predictor: Any = predicted["model"]
    assert (predicted["batch_size"], predicted["max_pixels"], predicted["keep_images"]) == (3, 5000, False)
    assert (predictor.window, predictor.overlap, predictor.windows_at_once) == ((16, 24), 0.5, 2)
    assert predictor.forward_options == {"flips": "both", "scales": (1.0, 0.5)}
    assert read_mask(Path("out/grey.png")).shape == (20, 31)


def test_every_option_of_a_detector_reaches_what_it_names(folder: Path, calls: Calls) -> None:
    watched = calls("visiontasks.prediction.predicting", "create_predictor")
    save_task(TASKS["detection"](proposals="precomputed", image_size=(64, 64)), Path("x.ckpt"))
    proposals = ProposalFile.create("p.npy", image_names([Path("in/grey.png")]), 2, {})
    proposals.write(0, np.array([[0.0, 0, 20, 18], [5, 6, 31, 20]]))
    images = [{"id": 70, "file_name": "grey.png"}]
    categories = [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}]
    Path("a.json").write_text(json.dumps({"images": images, "categories": categories}))
    words = ["in/grey.png", "--proposals", "p.npy", "--score", "0.1", "-f", "coco", "--annotations", "a.json"]
    assert run("x.ckpt", *words, "-o", "all.json") == 0
    assert (watched[0]["score"], watched[0]["proposals"]) == (0.1, Path("p.npy"))
    entries = json.loads(Path("all.json").read_text())
    assert {entry["image_id"] for entry in entries} == {70}
    assert {entry["category_id"] for entry in entries} <= {17, 18}
    assert 0.1 < min(entry["score"] for entry in entries) < 0.5


def test_files_for_people_leave_out_what_is_unsure_unless_a_score_is_given(folder: Path) -> None:
    task = TASKS["detection"](image_size=(48, 48), box_score_thresh=0.0)
    save_task(task, Path("x.ckpt"))
    scores = next(predict_images(task, "in/grey.png")).scores
    assert max(scores) < 0.5
    for words, count in (([], 0), (["--score", "0.05"], len(scores))):
        assert run("x.ckpt", "in/grey.png", "-f", "voc", "-o", "out", *words) == 0
        assert Path("out/grey.xml").read_text().count("<object>") == count
    # A localization has one box, whatever its score.
    save_task(TASKS["localization"](), Path("y.ckpt"))
    assert run("y.ckpt", "in/grey.png", "-f", "voc", "-o", "one") == 0
    assert Path("one/grey.xml").read_text().count("<object>") == 1


def test_an_image_of_more_pixels_than_allowed_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(checkpoint("multiclass"), "in/grey.png", "--max_pixels", "619") == 1  # it has 620
    assert run("x.ckpt", "in/grey.png", "--max_pixels", "620") == 0


def test_an_unknown_size_is_given_by_a_flag(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_task(ClassificationTask(3, NAMES, backbone_options=SMALL), Path("x.ckpt"))
    assert run("x.ckpt", "in/grey.png") == 2
    assert "--image_size H W" in capsys.readouterr().err
    assert run("x.ckpt", "in/grey.png", "--image_size", "20", "24") == 0


@pytest.mark.parametrize(
    ("kind", "threshold"), [("binary", 0.2), ("binary", 0.8), ("multilabel", 0.2), ("multilabel", 0.8)]
)
def test_masks_are_decided_by_the_threshold_of_the_task(kind: Any, threshold: float, folder: Path) -> None:  # noqa: ANN401 - a literal
    classes = 2 if kind == "binary" else 3
    task = SegmentationTask(classes, mode=kind, threshold=threshold, backbone_options=SMALL)
    with torch.no_grad():
        for parameter in task.decoder.classifier.parameters():  # type: ignore[union-attr]  # a convolution
            parameter.mul_(0.1)
    save_task(task, Path("x.ckpt"))
    with torch.no_grad():
        probabilities = task.eval()(read_image("in/a b.png")[None]).sigmoid()[0]
    assert probabilities.min() > 0.2
    assert probabilities.max() < 0.8
    for words in ([], ["--window", "16", "16"]):
        assert run("x.ckpt", "in/a b.png", "-o", "out", *words) == 0
        files = ["a b"] if kind == "binary" else [f"a b_{label}" for label in range(3)]
        for file in files:
            assert (read_mask(Path("out") / f"{file}.png") == (threshold < 0.5)).all()
