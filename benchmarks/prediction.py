"""Prediction of image files: visiontasks.prediction against a plain loop: read, preprocess, forward, write.

1,000 JPEG files of 640 x 480 pixels are generated; both sides read them from the page cache and write their results: a
row of CSV for a classifier, a PNG mask for a segmentation. The loop takes one image after the other, as scripts do; a
second one computes in batches of the same size as ours.

Command: python benchmarks/prediction.py [--images 1000] [--rounds 3]
"""

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import alternate, report, setting
from PIL import Image

from visiontasks import ClassificationTask, SegmentationTask
from visiontasks.data.images.reading import read_image
from visiontasks.prediction import create_predictor, predict_images
from visiontasks.prediction.writing import create_writer, write_predictions
from visiontasks.visualization import index_image

NAMES = [f"class {label}" for label in range(10)]


def write_files(folder: Path, count: int) -> list[Path]:
    """Write pictures that compress as photographs do: coarse structure and fine noise, about 90 kB each."""
    random = np.random.default_rng(0)
    files = []
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((640, 480))
        pixels = np.clip(np.asarray(coarse, np.int16) + random.normal(0, 6, (480, 640, 1)), 0, 255).astype(np.uint8)
        files.append(folder / f"{number:04}.jpg")
        Image.fromarray(pixels).save(files[-1], quality=90)
    return files


def ours(task: Any, files: list[Path], form: str, output: Path) -> float:
    """Predict all files, and return images per second."""
    start = time.perf_counter()
    predictor = create_predictor(task, device="cpu")
    with create_writer(form, predictor, files, output) as writer:
        for prediction in write_predictions(predict_images(predictor, files), writer):
            assert prediction.error is None
    return len(files) / (time.perf_counter() - start)


@torch.inference_mode()
def classify_in_a_loop(task: ClassificationTask, files: list[Path], output: Path, batch_size: int) -> float:
    """Read, resize, classify and write, ``batch_size`` images at a time."""
    start = time.perf_counter()
    task.eval()
    with output.open("w", newline="") as stream:
        rows = csv.writer(stream)
        for first in range(0, len(files), batch_size):
            part = files[first : first + batch_size]
            found = task.predict(task(torch.stack([read_image(file, 3, task.image_size) for file in part])))
            for file, label, score in zip(part, found.labels.tolist(), found.scores.tolist(), strict=True):
                rows.writerow([file, label, NAMES[label], f"{score:.6f}"])
    return len(files) / (time.perf_counter() - start)


@torch.inference_mode()
def segment_in_a_loop(task: SegmentationTask, files: list[Path], output: Path) -> float:
    """Read, segment and write, one image at a time."""
    start = time.perf_counter()
    task.eval()
    output.mkdir(exist_ok=True)
    for file in files:
        labels = task.predict(task(read_image(file)[None])).labels[0]
        index_image(labels).save(output / f"{file.stem}.png")
    return len(files) / (time.perf_counter() - start)


def main() -> int:
    """Measure, compare what both sides wrote, print the verdicts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    setting()
    torch.manual_seed(0)
    classifier = ClassificationTask(10, NAMES, backbone="resnet18", image_size=(128, 128))
    small = {"filters": [8, 16, 32], "depth": 1}
    segmenter = SegmentationTask(4, NAMES[:4], backbone_options=small, decoder_options={"widths": [16, 8]})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_files(folder, options.images)
        size = sum(file.stat().st_size for file in files) / len(files)
        print(f"{len(files)} files of 640 x 480 pixels, {size / 1000:.0f} kB each")
        sides: dict[str, Callable[[], float]] = {
            "visiontasks": lambda: ours(classifier, files, "csv", folder / "own.csv"),
            "loop": lambda: classify_in_a_loop(classifier, files, folder / "loop.csv", 1),
            "loop in batches of 64": lambda: classify_in_a_loop(classifier, files, folder / "batches.csv", 64),
        }
        figures = alternate(sides, options.rounds)
        compare(folder / "own.csv", folder / "loop.csv")
        met = report("Classification, ResNet-18 at 128 x 128, CSV", figures, "visiontasks", "loop", 1.5)
        report("The same against a loop in batches", figures, "visiontasks", "loop in batches of 64", 1.0)
        few = files[: max(1, len(files) // 10)]
        sides = {
            "visiontasks": lambda: ours(segmenter, few, "png", folder / "own"),
            "loop": lambda: segment_in_a_loop(segmenter, few, folder / "masks"),
        }
        figures = alternate(sides, options.rounds)
        for file in few:
            own, other = ((folder / kind / f"{file.stem}.png").read_bytes() for kind in ("own", "masks"))
            assert own == other
        report("Segmentation, small U-Net at 640 x 480, PNG", figures, "visiontasks", "loop", 1.2)
    return 0 if met else 1


def compare(own: Path, other: Path) -> None:
    """Check that both wrote the same."""
    one, two = (list(csv.reader(file.read_text().splitlines())) for file in (own, other))
    for row, known in zip(one[1:], two, strict=True):
        assert row[:2] == known[:2]
        assert abs(float(row[3]) - float(known[3])) < 1e-4


if __name__ == "__main__":
    sys.exit(main())
