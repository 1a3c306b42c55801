"""A size that is given to a checkpoint wins, with a warning, or is refused; it is never ignored."""

from pathlib import Path

import pytest

from tests.data.datamodules.image_sets import write_coco
from visiontasks.cli import main

QUIET = (
    "--trainer.accelerator cpu --trainer.enable_progress_bar false --trainer.enable_model_summary false --shown [] "
    "--data.num_workers 0 --report false"
)
SMALL = "--model.backbone_options.filters [4,4,4] --model.backbone_options.depth 1 --trainer.precision 32-true"


def fit(words: str) -> None:
    words = f"fit --data COCODataModule --data.root coco {words} {SMALL} {QUIET} --trainer.max_epochs 1"
    assert main(words.split()) == 0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_coco(tmp_path / "coco")
    return tmp_path


def test_sides_win_over_the_size_that_a_detector_was_trained_at(folder: Path) -> None:
    fit("--model DetectionTask --model.fpn_width 8 --model.head_width 16 --data.image_size 64")
    said = r"The images are within 48 x 1333 pixels .*, the task was trained on 64 x 64"
    with pytest.warns(UserWarning, match=said):
        assert main(f"validate --ckpt_path runs/fit --data.shorter 48 {QUIET}".split()) == 0


def test_segmentation_names_the_flag_that_works(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit("--model SegmentationTask --data.image_size 32")
    for flag in ("image_size 16", "scale 0.5"):
        assert main(f"validate --ckpt_path runs/fit --data.{flag} {QUIET}".split()) == 2
        assert f"--data.{flag.split()[0]} is given, but segmentation is scored on whole" in capsys.readouterr().err
    assert main(f"validate --ckpt_path runs/fit --data.shorter 400 {QUIET}".split()) == 2
    assert "The size for segmentation is set by image_size" in capsys.readouterr().err
    assert main(f"validate --ckpt_path runs/fit --model.test_time_scales [0.5] {QUIET}".split()) == 0


def test_generated_images_have_the_size_of_the_checkpoint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = "--data.train_size 8 --data.val_size 4 --data.test_size 4"
    quiet = QUIET.replace("--data.num_workers 0", "")
    assert main(f"fit {sizes} --data.image_size 16 {SMALL} {quiet} --trainer.max_epochs 1".split()) == 0
    assert main(f"validate --ckpt_path runs/fit --data.image_size 24 {quiet}".split()) == 2
    assert "ShapesDataModule makes images of the size that the checkpoint was trained on" in capsys.readouterr().err
