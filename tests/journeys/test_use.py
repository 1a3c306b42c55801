"""What a trained model is used for."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys import made_data as made
from tests.journeys.journey import (
    DOCS,
    MOST_COMMANDS,
    MOST_LINES,
    SMALL,
    SMALL_DETECTOR,
    SMALL_IMAGES,
    UNSEEN,
    Journey,
    cases,
    check_described,
    code_blocks,
    section,
    travel,
)

PHOTOS = "--data FolderDataModule --data.root photos"
FIT = f"visiontasks fit {PHOTOS}"
SEEN = f"{SMALL} {SMALL_IMAGES}"  # with pictures of the validation
JOURNEYS = (
    Journey(
        "see predictions",
        "from_training_to_use.md your_own_data.md",
        made.photos,
        (FIT, "visiontasks predict runs/fit/version_0 new_photos/ --overlays pictures"),
        left=(("runs/fit/version_0/predictions/*.png", ""), ("pictures/2.jpg", "")),
        said=("file,label,class,score",),
        quick=SEEN,
    ),
    Journey(
        "predict a folder",
        "from_training_to_use.md your_own_data.md",
        made.coco_of_one_class,
        (
            "visiontasks fit --data COCODataModule --data.root mine --model DetectionTask",
            "visiontasks predict runs/fit/version_0 new_photos/ --output found.jsonl",
        ),
        left=(("found.jsonl", "2.jpg"),),
        quick=f"{SMALL} {UNSEEN} {SMALL_DETECTOR}",
        slow=True,
    ),
    Journey(
        "embed and find neighbours",
        "from_training_to_use.md#codes-of-images your_own_data.md",
        made.photos,
        (FIT, "visiontasks embed runs/fit/version_0 photos/ --neighbours new_photos/0.jpg --n 5 --picture found.png"),
        left=(("found.png", ""),),
        said=("photos/fish/",),
        quick=f"{SMALL} {UNSEEN} {SMALL_IMAGES}",
    ),
    Journey(
        "score an old checkpoint on new data",
        "from_training_to_use.md#scores-on-other-data your_own_data.md",
        made.other_photos,
        (FIT, "visiontasks test --ckpt_path runs/fit --data.root later"),
        left=(("runs/test/version_0/report.html", "later"),),
        said=("test/accuracy", "Scored: 4 images of FolderDataModule 'later', all of them, which have no splits."),
        quick=f"{SMALL} {UNSEEN} {SMALL_IMAGES}",
    ),
)
EXPORT = Journey(
    "export and run with onnxruntime alone",
    "from_training_to_use.md your_own_data.md",
    made.photos,
    (FIT, "visiontasks export runs/fit/version_0 --output model.onnx"),
    left=(("model.onnx", ""),),
    quick=f"{SMALL} {UNSEEN} {SMALL_IMAGES}",
)


@pytest.mark.parametrize("journey", cases(JOURNEYS))
def test_a_checkpoint_is_enough(
    journey: Journey, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    check_described(journey)
    travel(journey, capsys, caplog)


@pytest.mark.unchecked
def test_an_export_is_run_with_onnxruntime_alone(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """By the lines that the docs show, where neither this library nor PyTorch can be imported."""
    pytest.importorskip("onnxruntime", reason="an export needs visiontasks[export]")
    script = DOCS / "examples" / "onnx_predict.py"
    assert f"{{literalinclude}} examples/{script.name}" in section("service.md#without-this-library")
    check_described(EXPORT)
    travel(EXPORT, capsys, caplog)
    code = "import runpy, sys; sys.modules['visiontasks'] = sys.modules['torch'] = None; sys.argv = sys.argv[1:]; "
    run = [sys.executable, "-c", code + "runpy.run_path(sys.argv[0], run_name='__main__')", str(script)]
    found = subprocess.run([*run, "model.onnx", "new_photos/0.jpg"], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("{'probabilities': array([[")


def test_a_service_is_short_in_the_docs() -> None:
    """Its file is run by tests/test_service.py, its lines by the doctest."""
    (lines,) = code_blocks(section("service.md").partition("\n## ")[0])
    assert len(lines) <= MOST_LINES
    text = section("service.md#with-fastapi")
    assert 1 <= sum(line.startswith("$ ") for line in text.splitlines()) <= MOST_COMMANDS
    assert (Path(DOCS) / "examples" / "service.py").is_file()
