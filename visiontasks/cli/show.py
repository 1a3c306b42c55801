"""``visiontasks show``: samples of a data set as the model receives them."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from visiontasks.cli.data import parse_data
from visiontasks.cli.parser import Parser
from visiontasks.data.augmentation.resizing import Whole
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.check import Report, check
from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.datasets.batch_augmentation import EachImage
from visiontasks.data.datasets.file_dataset import FileDataset
from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.data.vision_data import VisionData
from visiontasks.errors import ArgumentError
from visiontasks.types import IGNORED
from visiontasks.visualization import (
    Picture,
    bar_chart,
    check_picture_file,
    draw_sample,
    from_pillow,
    grid,
    save_picture,
    to_pillow,
)
from visiontasks.visualization.captions import add_legend
from visiontasks.visualization.masks import legend_of

_BINS = (0, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, float("inf"))


def main(command: str, arguments: Sequence[str]) -> int:
    """Draw samples, and the counts of classes and box sizes; print how training images are augmented.

    Args:
        command: ``"show"``.
        arguments: The command line after it.

    Returns:
        The exit code, 0.
    """
    description = "Draw samples of a data set as the model gets them, with their annotations."
    data, options = parse_data(command, description, arguments, _add_options)
    if options.n < 1:
        message = f"--n is {options.n}; expected at least 1."
        raise ArgumentError(message)
    check_picture_file(options.output)
    data.prepare_data()
    data.setup("test" if options.split == "test" else "fit")
    dataset: Any = getattr(data, f"{options.split}_set")
    if options.raw and isinstance(dataset, FileDataset):
        dataset.augmentation, dataset.resizing, dataset.multiple = None, Whole(), 1
    elif options.raw and isinstance(dataset, MemoryDataset):
        dataset.augmentation = None
    else:
        print(json.dumps(_describe(data, dataset), indent=2))
    count = min(options.n, len(dataset))
    chosen = sorted(Random(data.seed).sample(range(len(dataset)), count))
    samples = [dataset[BatchRequest([index], options.epoch)] for index in chosen]
    drawn = [draw_sample(sample, data.class_names) for sample in samples]
    titles = [f"{index}: {title}" for index, (_, title) in zip(chosen, drawn, strict=True)]
    picture = grid([picture for picture, _ in drawn], titles, columns=4)
    if hasattr(samples[0], "masks"):
        entries = legend_of({*range(len(data.class_names)), IGNORED}, data.class_names)
        picture = from_pillow(add_legend(to_pillow(picture), entries))
    _save(picture, options.output)
    report = check(data, files=False)
    for name, picture in _histograms(report).items():
        _save(picture, options.output.with_stem(f"{options.output.stem}_{name}"))
    return 0


def _add_options(parser: Parser) -> None:
    parser.add_argument(
        "--split", choices=("train", "val", "test"), default="train", help="which split (default: train)"
    )
    parser.add_argument("--n", type=int, default=16, help="images to draw (default: 16)")
    parser.add_argument("--raw", action="store_true", help="as annotated, without augmentation and resizing")
    parser.add_argument("--epoch", type=int, default=0, help="whose augmentation is shown (default: 0)")
    parser.add_argument("--output", type=Path, default=Path("samples.png"), help="PNG file (default: samples.png)")


def _describe(data: VisionData, dataset: Any) -> dict[str, object]:  # noqa: ANN401 (of any task)
    """Describe in full how samples are transformed."""
    if isinstance(data, FileData):
        augmentation = None if dataset.augmentation is None else dataset.augmentation.describe()
        return {"augmentation": augmentation, "resizing": dataset.resizing.describe()}
    augmentation = getattr(dataset, "augmentation", None)
    if isinstance(augmentation, Augmentation | EachImage):
        return {"augmentation": augmentation.describe()}
    return {"augmentation": None if augmentation is None else {type(augmentation).__name__: vars(augmentation)}}


def _histograms(report: Report) -> dict[str, Picture]:
    pictures = {}
    if any(split.counts.any() for split in report.splits.values()):
        series = {name: split.counts.tolist() for name, split in report.splits.items()}
        pictures["classes"] = bar_chart(f"{report.counted} of each class", report.class_names, series)
    if any(len(split.boxes) for split in report.splits.values()):
        names = [f"{low} to {high} pixels" for low, high in pairwise(_BINS[:-1])]
        series = {name: np.histogram(split.boxes, _BINS)[0].tolist() for name, split in report.splits.items()}
        pictures["boxes"] = bar_chart("boxes by the root of their area", [*names, "more"], series)
    return pictures


def _save(picture: Picture, file: Path) -> None:
    save_picture(picture, file)
    print(f"written: {file}")
