"""Every recipe runs as a user starts it, with flags changed."""

import csv
import gzip
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.datamodules.image_sets import write_coco, write_voc
from visiontasks.cli import main

RECIPES = Path(__file__).parents[2] / "recipes"
QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]


def start(recipe: str, folder: Path, *arguments: str, flags: Sequence[str] = QUIET) -> str:
    """Run a recipe in a folder and return what it prints."""
    done = subprocess.run(
        [sys.executable, str(RECIPES / recipe), *arguments, *flags],
        cwd=folder,
        env={**os.environ, "JAXTYPING_DISABLE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_quickstart(tmp_path: Path) -> None:
    small = ["--data.train_size", "64", "--data.val_size", "16", "--data.test_size", "16", "--trainer.max_epochs", "2"]
    printed = start("quickstart.py", tmp_path, *small)
    folder = tmp_path / "runs" / "quickstart" / "version_0"
    assert f"Run folder: {folder.relative_to(tmp_path)}" in printed
    with (folder / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    best = max(float(row["val/accuracy"]) for row in rows if row["val/accuracy"])
    (checkpoint,) = (folder / "checkpoints").glob("epoch*.ckpt")
    assert checkpoint.stem.endswith(f"val_accuracy{best:.4f}")
    # The 16 images of the test are scored once, by that checkpoint.
    (tested,) = (float(row["test/accuracy"]) for row in rows if row["test/accuracy"])
    assert tested * 16 == round(tested * 16)
    assert re.search(rf"test/accuracy +{tested:.4f}\s", printed)
    assert f"Best checkpoint: {checkpoint.relative_to(tmp_path)}" in printed
    assert (folder / "predictions" / "test.png").exists()
    # The saved configuration runs again, and a flag wins over it.
    again = start("quickstart.py", tmp_path, "--config", str(folder / "config.yaml"), "--trainer.max_epochs", "1")
    assert "Trained 1 epochs" in again


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """Write a small data set in MNIST's format."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for prefix, count in (("train", 96), ("t10k", 32)):
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for name, array in ((f"{prefix}-images-idx3-ubyte.gz", images), (f"{prefix}-labels-idx1-ubyte.gz", labels)):
            header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (raw / name).write_bytes(gzip.compress(header + array.tobytes()))
    return tmp_path


def test_mnist_classification(mnist: Path) -> None:
    printed = start(
        "mnist_classification.py",
        mnist,
        *("--data.root", str(mnist), "--data.val_size", "32", "--data.batch_size", "16", "--trainer.max_epochs", "1"),
    )
    assert "test/accuracy_top5" in printed
    assert re.search(r"^.* test/class_accuracy(.*\n)+ +9 ", printed, re.MULTILINE)


def test_localization_of_shapes_and_of_photographs_in_voc_form(tmp_path: Path) -> None:
    small = ["--data.train_size", "32", "--data.val_size", "8", "--data.test_size", "8", "--trainer.max_epochs", "1"]
    assert re.search(r"test/mean_iou\s+0\.\d", start("localization.py", tmp_path, *small))
    write_voc(tmp_path / "voc")
    network = ["--model.backbone", "cnn", "--trainer.max_epochs", "1", "--trainer.check_val_every_n_epoch", "1"]
    printed = start("localization.py", tmp_path, "--data.root", "voc", "--data.batch_size", "4", *network)
    assert re.search(r"test/localization_error\s+[01]\.\d", printed)
    assert (tmp_path / "runs" / "localization" / "version_1" / "predictions" / "test.png").exists()


TINY = [
    "--model.backbone",
    "cnn",
    "--model.backbone_options",
    "{filters: [4, 8], depth: 1}",
    "--trainer.max_epochs",
    "1",
]


@pytest.mark.parametrize("recipe", ["patch_segmentation.py", "full_resolution_segmentation.py"])
def test_baselines_of_segmentation(recipe: str, tmp_path: Path) -> None:
    sizes = ["--data.train_size", "8", "--data.val_size", "2", "--data.test_size", "2", "--data.image_size", "[16, 24]"]
    printed = start(recipe, tmp_path, *sizes, "--trainer.max_epochs", "1", "--trainer.check_val_every_n_epoch", "1")
    assert "test/miou" in printed
    assert re.search(r"^.* test/iou(.*\n)+ +background ", printed, re.MULTILINE)


def test_camvid_segmentation(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        lines = []
        for number in range(3):
            generator = np.random.default_rng(number)
            files = [f"{split}/{number}.png", f"{split}annot/{number}.png"]
            shapes = [(40, 56, 3), (40, 56)]
            for file, shape, values in zip(files, shapes, (256, 12), strict=True):
                (tmp_path / file).parent.mkdir(exist_ok=True)
                Image.fromarray(generator.integers(0, values, shape, dtype=np.uint8)).save(tmp_path / file)
            lines.append(" ".join(files))
        (tmp_path / f"{split}.txt").write_text("\n".join(lines))
    small = ["--data.root", str(tmp_path), "--data.image_size", "[32, 32]", "--trainer.check_val_every_n_epoch", "1"]
    printed = start("camvid_segmentation.py", tmp_path, *small, *TINY)
    assert re.search(r"^.* test/iou(.*\n)+ +bicyclist ", printed, re.MULTILINE)


def test_voc_segmentation(data_root: Path, tmp_path: Path) -> None:
    small = ["--data.root", str(data_root / "coco_as_voc"), "--data.image_size", "[32, 32]", "--data.num_workers", "0"]
    fast = ["--model.backbone_weights", "null", "--trainer.limit_val_batches", "2", "--trainer.limit_test_batches", "2"]
    once = ["--trainer.check_val_every_n_epoch", "1", "--trainer.limit_train_batches", "2"]
    printed = start("voc_segmentation.py", tmp_path, *small, *fast, *once, *TINY)
    assert re.search(r"^.* test/iou(.*\n)+ +tvmonitor ", printed, re.MULTILINE)


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Write a small data set in the form of COCO, in the folders of BCCD."""
    root = write_coco(tmp_path / "cells", 8, splits=("train", "val", "test"))
    images = root / "VOCdevkit" / "VOC2007" / "JPEGImages"
    images.mkdir(parents=True)
    for split in ("train", "val", "test"):
        for file in sorted((root / split).glob("*.png")):
            shutil.move(file, images / f"{split}_{file.name}")
        annotations = root / "annotations" / f"instances_{split}.json"
        content = json.loads(annotations.read_text())
        for image in content["images"]:
            image["file_name"] = f"{split}_{image['file_name']}"
        annotations.write_text(json.dumps(content))
    return root


FEW = ["--trainer.max_epochs", "1", "--trainer.check_val_every_n_epoch", "1", "--data.image_size", "[64, 64]"]


def test_bccd_detection(cells: Path, tmp_path: Path) -> None:
    printed = start("bccd_detection.py", tmp_path, "--data.root", str(cells), *FEW)
    assert "test/map_50" in printed
    assert (tmp_path / "runs" / "bccd_detection" / "version_0" / "predictions" / "test.png").exists()


def test_selective_search_detection(cells: Path, tmp_path: Path) -> None:
    words = ["--data", "COCODataModule", "--data.root", str(cells), "--data.task", "detection", "--workers", "1"]
    words += ["--data.images", "VOCdevkit/VOC2007/JPEGImages", "--output", str(tmp_path / "cells.npy")]
    assert main(["propose", *words, "--mode", "single"]) == 0
    proposals = ["--data.proposals", str(tmp_path / "cells.npy")]
    printed = start("selective_search_detection.py", tmp_path, "--data.root", str(cells), *proposals, *FEW)
    assert "test/map_50" in printed


def test_mnist_autoencoder(mnist: Path) -> None:
    sizes = "--data.val_size 32 --data.batch_size 16 --trainer.max_epochs 1 --trainer.check_val_every_n_epoch 1"
    printed = start("mnist_autoencoder.py", mnist, "--data.root", str(mnist), *sizes.split())
    assert "test/mse" in printed
    assert "test/knn_accuracy" in printed
    run = mnist / "runs" / "mnist_autoencoder" / "version_0"
    assert (run / "predictions" / "test.png").exists()
    assert (run / "codes" / "map_epoch_0.png").exists()


def test_label_efficiency(mnist: Path) -> None:
    sizes = "--labels 10 20 100 --seeds 2 --pretrainings plain --val_size 16 --batch_size 8 --split test --cpu"
    few = [*sizes.split(), "--pretrain_epochs", "1", "--steps", "3"]
    first = start("label_efficiency.py", mnist, "--root", str(mnist), flags=few)
    file = mnist / "label_efficiency" / "test.csv"
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    ways = {row["way"] for row in rows}
    kinds = ("linear", "k-NN", "fine-tuned", "propagated", "propagated and fine-tuned")
    assert ways == {"scratch", *(f"plain, {kind}" for kind in kinds)}
    assert {int(row["labels"]) for row in rows} == {10, 20, 80}
    assert len(rows) == 2 * (4 * 3 + 2 * 2)
    assert (mnist / "label_efficiency" / "test-plain.png").exists()

    # A study that was stopped measures what is missing, and comes to the same; what other settings gave stays aside.
    *before, last = file.read_text().splitlines(keepends=True)
    other = last.replace("steps 3", "steps 4")
    assert other != last
    file.write_text("".join([*before, other]))
    again = start("label_efficiency.py", mnist, "--root", str(mnist), flags=few)
    assert file.read_text() == "".join([*before, other, last])
    table, before_it = (text.splitlines()[-len(ways) :] for text in (again, first))
    assert [line.split()[0] for line in table] == [line.split()[0] for line in before_it]
    # What is exactly between two numbers of two digits may be rounded either way.
    values, values_before = (re.findall(r"\d+\.\d+", "\n".join(lines)) for lines in (table, before_it))
    assert [*map(float, values)] == pytest.approx([*map(float, values_before)], abs=0.0101)
    assert again.splitlines()[0] in first

    # Another study in the same folder shows what it was asked for.
    fewer = start("label_efficiency.py", mnist, "--root", str(mnist), flags=["--labels", "20", *few[4:]])
    assert len(fewer.splitlines()) == len(ways)
    assert all(line.count("+-") == 1 for line in fewer.splitlines())
