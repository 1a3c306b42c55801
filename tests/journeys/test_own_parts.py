"""Parts of one's own, from the file that docs/own_parts.md shows."""

import inspect
import sys

import pytest

from tests.journeys import made_data as made
from tests.journeys.journey import (
    DOCS,
    MOST_LINES,
    SMALL,
    SMALL_IMAGES,
    UNSEEN,
    Journey,
    cases,
    check_described,
    forget_modules,
    section,
    travel,
)


def masks_and_parts() -> None:
    made.masks_with_void()
    made.own_parts()


def boxes_and_parts() -> None:
    made.table_of_boxes()
    made.own_parts()


PHOTOS = "--data FolderDataModule --data.root photos"
MASKS = "--data MaskFolderDataModule --data.root mine --data.class_names [background,road] --model SegmentationTask"
JOURNEYS = (
    Journey(
        "own loss",
        "own_parts.md#loss your_own_data.md",
        boxes_and_parts,
        (
            "visiontasks fit --data CSVDataModule --data.root mine --data.task localization --model LocalizationTask "
            "--model.box_loss my_parts.central",
        ),
        left=(("runs/fit/version_0/hparams.yaml", "box_loss: my_parts.central"),),
        said=("val/loss_box",),
        quick=f"{SMALL} {UNSEEN} {SMALL_IMAGES}",
        slow=True,
    ),
    Journey(
        "own metric",
        "own_parts.md#metric your_own_data.md",
        made.own_parts,
        (
            f"visiontasks fit {PHOTOS} --model my_parts.TopThree",
            "visiontasks test --ckpt_path runs/fit/version_0 --model my_parts.TopThree",
        ),
        said=("val/accuracy_top3", "test/accuracy_top3"),
        quick=f"{SMALL} {UNSEEN} {SMALL_IMAGES}",
        slow=True,
    ),
    Journey(
        "own head",
        "own_parts.md#head command_line.md your_own_data.md",
        made.own_parts,
        (
            f"visiontasks fit {PHOTOS} --model my_parts.TwoLayers --model.width 64",
            "visiontasks predict runs/fit/version_0 new_photos/ --task my_parts.TwoLayers --output found.csv",
            "visiontasks test --ckpt_path runs/fit/version_0 --model my_parts.TwoLayers",
        ),
        left=(("found.csv", "new_photos/2.jpg"), ("runs/fit/version_0/hparams.yaml", "width: 64")),
        said=("test/accuracy",),
        quick=f"{SMALL} {UNSEEN} {SMALL_IMAGES}",
    ),
    Journey(
        "own decoder",
        "own_parts.md#decoder your_own_data.md command_line.md",
        masks_and_parts,
        (
            f"visiontasks fit {MASKS} --model.decoder my_parts.Nearest",
            "visiontasks predict runs/fit/version_0 new_photos/ --output masks",
        ),
        left=(("masks/2.png", ""),),
        quick=f"{SMALL} {UNSEEN}",
        slow=True,
    ),
    Journey(
        "own backbone",
        "own_parts.md#backbone your_own_data.md command_line.md",
        made.own_parts,
        (
            f"visiontasks fit {PHOTOS} --model.backbone my_parts.Strided",
            "visiontasks predict runs/fit/version_0 new_photos/ --output found.csv",
        ),
        left=(("found.csv", "new_photos/2.jpg"),),
        quick=f"{SMALL_IMAGES} {UNSEEN}",
    ),
    Journey(
        "own augmentation",
        "own_parts.md#augmentation your_own_data.md",
        made.own_parts,
        (f"visiontasks show {PHOTOS} --data.augmentation my_parts.pipeline",),
        left=(("samples.png", ""),),
        said=("RandomPerspective",),
    ),
    Journey(
        "own data set",
        "own_parts.md#data-set-and-data-module command_line.md",
        made.own_parts,
        ("visiontasks fit --data my_parts.StripesModule", "visiontasks test --ckpt_path runs/fit/version_0"),
        said=("  upright  ", "test/accuracy"),
        quick=f"{SMALL} {UNSEEN}",
    ),
)
PARTS = {
    "loss": ("central", "wide"),
    "metric": ("TopThree",),
    "head": ("TwoLayers",),
    "decoder": ("Nearest",),
    "backbone": ("Strided",),
    "data-set-and-data-module": ("Stripes", "StripesModule"),
    "augmentation": ("pipeline",),
    "callback": ("Freezing",),
}


@pytest.mark.parametrize("journey", cases(JOURNEYS))
def test_a_part_of_ones_own_is_named_on_the_command_line(
    journey: Journey, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    check_described(journey)
    travel(journey, capsys, caplog)


@pytest.mark.parametrize("anchor", PARTS)
def test_a_part_is_short_and_in_the_docs_as_it_is(anchor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS / "examples")
    monkeypatch.delitem(sys.modules, "my_parts", raising=False)
    parts, text = __import__("my_parts"), section(f"own_parts.md#{anchor}")
    lines = [line for name in PARTS[anchor] for line in inspect.getsource(getattr(parts, name)).splitlines()]
    assert 1 < len([line for line in lines if line.strip()]) <= MOST_LINES + 1
    assert all(
        f"{{literalinclude}} examples/my_parts.py\n:language: python\n:pyobject: {name}\n" in text
        for name in PARTS[anchor]
    )
    forget_modules()
