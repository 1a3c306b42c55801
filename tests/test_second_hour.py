"""docs/examples/second_hour.py: every task is trained on one half, and used on another that has another form."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.datamodules.image_sets import save, shapes, write_coco, write_folders, write_masks, write_voc
from visiontasks.data.datasets.shapes import CLASS_NAMES

DOCS = Path(__file__).parent.parent / "docs"
FILE = DOCS / "examples" / "second_hour.py"
PIXELS = ("ground", *CLASS_NAMES)
QUIET = "--trainer.accelerator cpu --trainer.enable_progress_bar false --trainer.enable_model_summary false"
TRAIN = (
    f"{QUIET} --trainer.precision 32-true --trainer.max_epochs 1 --shown [] --model.backbone_options.filters [4,8] "
    "--model.backbone_options.depth 1 --data.batch_size 4 --data.num_workers 0"
).split()
BOXES = ["--data.shorter", "48", "--data.longer", "64"]
CASES: dict[str, tuple[str, str, list[str], str, list[str]]] = {
    "classification": (
        "ClassificationTask",
        "FolderDataModule",
        ["--data.image_size", "[32,32]"],
        "FolderDataModule",
        [],
    ),
    "autoencoding": (
        "AutoencodingTask",
        "FolderDataModule",
        ["--data.image_size", "[32,32]", "--data.task", "autoencoding"],
        "FolderDataModule",
        ["--data.task", "autoencoding"],
    ),
    "detection": ("DetectionTask", "VOCDataModule", BOXES, "COCODataModule", []),
    "localization": (
        "LocalizationTask",
        "VOCDataModule",
        ["--data.image_size", "[32,32]", "--data.task", "localization"],
        "COCODataModule",
        ["--data.task", "localization"],
    ),
    "segmentation": (
        "SegmentationTask",
        "MaskFolderDataModule",
        ["--data.image_size", "[32,32]"],
        "MaskFolderDataModule",
        [],
    ),
}
"""The task; the data module of the training with its flags, and that of the new data."""


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """Import the file as a user does, from its folder, and work in another."""
    monkeypatch.syspath_prepend(FILE.parent)
    monkeypatch.chdir(tmp_path)
    import second_hour  # type: ignore[import-not-found]  # in the folder that was added

    yield second_hour
    del sys.modules["second_hour"]


def write(task: str) -> list[Path]:
    """Write half the data as they are trained on, the other as a stranger has them; return images of the latter."""
    half, new = Path("half"), Path("new")
    half.mkdir()
    if task in ("classification", "autoencoding"):
        write_folders(half, count=12, splits=("train", "val"))
        for number, shape in enumerate(shapes(6, seed=5)):
            if shape.label != 1:  # not every class occurs
                save(shape.pixels, new / CLASS_NAMES[shape.label] / f"{number}.png")
        return sorted(new.rglob("*.png"))
    if task == "segmentation":
        (write_masks(half) / "classes.txt").write_text("\n".join(PIXELS))
        for number, shape in enumerate(shapes(6, seed=5)):
            save(shape.pixels, new / "images" / f"{number}.png")
            save((len(PIXELS) - 1 - shape.mask).astype(np.uint8), new / "masks" / f"{number}.png")
        (new / "classes.txt").write_text("\n".join(PIXELS[::-1]))
        return sorted((new / "images").iterdir())
    write_voc(half)
    write_coco(new, count=6, splits=("all",))
    file = new / "annotations" / "instances_all.json"
    content = json.loads(file.read_text())
    for category in content["categories"]:  # the classes in the opposite order
        category["id"] = 100 - category["id"]
    for thing in content["annotations"]:
        thing["category_id"] = 100 - thing["category_id"]
    file.write_text(json.dumps(content))
    return sorted((new / "all").iterdir())


@pytest.mark.unchecked
@pytest.mark.parametrize("task", CASES)
def test_every_task_is_used_on_data_of_another_form(
    task: str, example: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    photos = write(task)
    kind, trained, flags, other, more = CASES[task]
    half = ["--data", trained, "--data.root", "half", *flags]
    new = ["--data", other, "--data.root", "new", *more]
    # A file has images of one size, where the network sees them whole or in their own shape.
    size = ["--image_size", "48", "64"] if task in ("detection", "segmentation") else []
    with caplog.at_level("INFO"):
        answers: list[dict[str, Any]] = example.second_hour(task, kind, half, new, photos, TRAIN, size)
    said = [message for message in caplog.messages if message.startswith("Scored")]
    assert said == [f"Scored: {len(photos)} images of {other} 'new', all of them, which have no splits."]
    assert len(answers) == len(photos)
    out = Path("used", task)
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert sorted(Path(line["file"]).name for line in lines) == sorted(photo.name for photo in photos)
    for photo, answer in zip(photos, answers, strict=True):
        with Image.open(photo) as image:
            assert (answer["width"], answer["height"]) == image.size
        (line,) = (line for line in lines if Path(line["file"]) == photo.absolute())
        assert json.loads(json.dumps(answer)).keys() == line.keys()
    assert (out / "model.onnx").stat().st_size > 1000
    with np.load(out / "codes.npz") as codes:
        assert len(codes["codes"]) == len(photos)


def test_the_script_is_in_the_docs_as_it_is() -> None:
    assert f"{{literalinclude}} {FILE.relative_to(DOCS)}" in (DOCS / "from_training_to_use.md").read_text()
