"""Autoencoding from the command line: fit, test, and its encoder in the four other tasks."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.data.datamodules.image_sets import shapes
from visiontasks import AutoencodingTask
from visiontasks.cli import main
from visiontasks.imports import import_class

TRAINER = ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
SMALL = ["--model.backbone_options", '{"filters": [4, 8], "depth": 1}', *TRAINER]
MODEL = ["--model", "AutoencodingTask", "--model.code_size", "6", *SMALL]
SHAPES = [
    *("--data", "ShapesDataModule", "--data.image_size", "[24, 32]", "--data.batch_size", "8"),
    *("--data.train_size", "16", "--data.val_size", "6", "--data.test_size", "6"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def best_of(run: Path) -> Path:
    (best,) = (run / "checkpoints").glob("epoch*.ckpt")
    return best


def sides_of(file: Path) -> tuple[int, int]:
    with Image.open(file) as picture:
        return picture.size


def test_fit_test_and_pictures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes = ["--trainer.callbacks+=visiontasks.callbacks.code_images.CodeImages"]
    options = ["--model.variational", "true", "--model.denoising", "gaussian", "--model.decoder", "unpooling"]
    assert main(["fit", *MODEL, *SHAPES, *options, *codes]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"val/knn_accuracy\s+[01]\.\d", printed)
    run = folder / "runs" / "fit" / "version_0"
    for name in ("predictions/val_epoch_0", "codes/map_epoch_0", "codes/between_epoch_0", "codes/samples_epoch_0"):
        assert min(sides_of(run / f"{name}.png")) > 100
    task = AutoencodingTask.load_from_checkpoint(best_of(run))
    assert task.fixed_size == (24, 32)
    assert task.class_names == ["circle", "square", "triangle", "star"]
    assert main(["test", "--ckpt_path", str(best_of(run)), *SHAPES, "--trainer.enable_progress_bar", "false"]) == 0
    assert re.search(r"test/linear_accuracy\s+[01]\.\d", capsys.readouterr().out)


def test_a_flat_folder_of_images_is_enough(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "images").mkdir()
    for number, shape in enumerate(shapes(10)):
        Image.fromarray(shape.pixels).save(folder / "images" / f"{number}.png")
    data = ["--data", "FolderDataModule", "--data.root", "images", "--data.task", "autoencoding"]
    assert main(["fit", *MODEL, *data, "--data.image_size", "[19, 26]", "--data.num_workers", "0"]) == 0
    printed = capsys.readouterr().out
    assert "val/ssim" in printed
    assert "accuracy" not in printed
    assert AutoencodingTask.load_from_checkpoint(best_of(folder / "runs/fit/version_0")).fixed_size == (19, 26)


def test_mnist(data_root: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", "MNISTDataModule", "--data.root", str(data_root), "--data.val_size", "500"]
    limits = ["--trainer.limit_train_batches", "20", "--trainer.limit_val_batches", "2"]
    assert main(["fit", *MODEL, *data, *limits, "--model.bank_size", "200"]) == 0
    assert "val/knn_accuracy" in capsys.readouterr().out


def test_a_size_that_is_not_that_of_the_data_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *MODEL, *SHAPES, "--model.image_size", "[20, 20]"]) == 2
    assert "--model.image_size is (20, 20), but ShapesDataModule has (24, 32)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "freeze"),
    [("Classification", "none"), ("Localization", "all"), ("Detection", "none"), ("Segmentation", "all")],
)
def test_the_encoder_goes_into_the_other_tasks_by_one_flag(folder: Path, task: str, freeze: str) -> None:
    assert main(["fit", *MODEL, *SHAPES, "--model.normalization", "dataset"]) == 0
    source = best_of(folder / "runs" / "fit" / "version_0")
    flags = ["--model", f"{task}Task", "--model.backbone_weights", str(source), "--model.freeze", freeze, *SMALL]
    assert main(["fit", *flags, *SHAPES, "--data.task", task.lower(), "--model.optimizer.lr", "0"]) == 0
    target = best_of(folder / "runs" / "fit" / "version_1")
    owner: type[AutoencodingTask] = import_class(f"visiontasks.{task}Task")
    loaded, encoder = owner.load_from_checkpoint(target), AutoencodingTask.load_from_checkpoint(source)
    assert loaded.normalize.mode == "dataset"
    assert torch.equal(loaded.normalize.mean, encoder.normalize.mean)
    theirs = encoder.backbone.state_dict()
    for name, value in loaded.backbone.state_dict().items():
        # What trains has batch-norm statistics of its own by now.
        if freeze == "all" or not re.search("running|num_batches", name):
            assert torch.equal(value, theirs[name]), name
