"""``visiontasks propose``: proposals for every image of a data set, into a file that training reads."""

import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from tqdm import tqdm

from visiontasks.cli.data import parse_data
from visiontasks.cli.parser import Parser
from visiontasks.cli.quiet import quiet
from visiontasks.data.base import VisionDataModule
from visiontasks.data.datasets.files import FileDataset
from visiontasks.data.datasets.memory_detection import MemoryDetection
from visiontasks.data.images import Pixels, read_pixels
from visiontasks.data.proposals import ProposalFile, image_name
from visiontasks.data.samplers import BatchRequest
from visiontasks.detection.selective_search import selective_search
from visiontasks.errors import ArgumentError
from visiontasks.metrics.proposal_recall import proposal_recall
from visiontasks.tasks.detection import DetectionTask

_SPLITS = {"train": "fit", "val": "fit", "test": "test"}


class _Image(NamedTuple):
    name: str
    dataset: Any
    position: int


class _Job(NamedTuple):
    """An image and what is to be done with it, for another process."""

    row: int
    source: Path | Pixels
    mode: str
    least: int


def main(command: str, arguments: Sequence[str]) -> int:
    """Propose boxes for the images of a data set, and print how many objects are among them.

    Args:
        command: ``"propose"``.
        arguments: The command line after it.

    Returns:
        The exit code, 0.

    Raises:
        ArgumentError: If the data have no boxes, or an option is wrong.
    """
    quiet()
    data, options = parse_data(command, "Propose boxes for the images of a data set.", arguments, _add_options)
    images = _list_images(data, options.splits)
    method = {
        "name": "rpn" if options.checkpoint else "selective-search",
        "mode": None if options.checkpoint else options.mode,
        "least": options.least,
        "checkpoint": options.checkpoint,
    }
    file = ProposalFile.create(options.output, [image.name for image in images], options.count, method)
    missing = file.missing()
    print(f"{len(images)} images, {len(missing)} to do, into {file.path}.")
    if options.checkpoint:
        found = _by_checkpoint(options.checkpoint, [(row, images[row]) for row in missing])
    else:
        jobs = [_Job(row, _source(images[row]), options.mode, options.least) for row in missing]
        found = _by_search(jobs, options.workers)
    for row, boxes in tqdm(found, total=len(missing), unit="image", disable=not sys.stderr.isatty()):
        file.write(row, boxes)
    for split in options.splits:
        figures = proposal_recall(_pairs(file, images, getattr(data, f"{split}_set")))
        print(f"{split}: {', '.join(f'{name} {value:.3f}' for name, value in figures.items())}")
    return 0


def _add_options(parser: Parser) -> None:
    parser.add_argument("--output", type=str, required=True, help="file to write: NAME.npy, and NAME.json beside it")
    parser.add_argument("--count", type=int, default=2000, help="most proposals of an image")
    parser.add_argument("--mode", type=str, default="fast", help="selective search: single, fast or quality")
    parser.add_argument("--least", type=int, default=10, help="least side of a proposal in pixels")
    parser.add_argument("--checkpoint", type=str | None, default=None, help="a DetectionTask whose proposals to take")
    parser.add_argument("--workers", type=int, default=2, help="processes of selective search")
    parser.add_argument("--splits", type=list[str], default=["train", "val", "test"], help="splits to do")


def _list_images(data: VisionDataModule, splits: Sequence[str]) -> list[_Image]:
    if data.yields != "detection":
        message = f"{type(data).__name__} yields {data.yields}; expected detection (--data.task detection)."
        raise ArgumentError(message)
    unknown = [split for split in splits if split not in _SPLITS]
    if unknown:
        message = f"splits is {list(splits)}; expected some of {', '.join(_SPLITS)}."
        raise ArgumentError(message)
    for stage in dict.fromkeys(_SPLITS[split] for split in splits):
        data.setup(stage)
    images: dict[str, _Image] = {}
    for split in splits:
        dataset = getattr(data, f"{split}_set")
        for index in range(len(dataset)):
            name = f"{split}/{index}" if isinstance(dataset, MemoryDetection) else image_name(dataset.index.file(index))
            images.setdefault(name, _Image(name, dataset, index))
    return list(images.values())


def _source(image: _Image) -> Path | Pixels:
    if isinstance(image.dataset, MemoryDetection):
        return image.dataset.pixels[image.position].numpy()
    path: Path = image.dataset.index.file(image.position)
    return path


def _by_search(jobs: Sequence[_Job], workers: int) -> Iterator[tuple[int, Float64[np.ndarray, "found 4"]]]:
    if workers < 2:
        yield from map(_search, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(_search, jobs)


def _search(job: _Job) -> tuple[int, Float64[np.ndarray, "found 4"]]:
    pixels = read_pixels(job.source, 3) if isinstance(job.source, Path) else job.source
    return job.row, selective_search(pixels, job.mode, job.least, seed=job.row)


def _by_checkpoint(
    checkpoint: str, images: Sequence[tuple[int, _Image]]
) -> Iterator[tuple[int, Float64[np.ndarray, "found 4"]]]:
    task = DetectionTask.load_from_checkpoint(checkpoint).eval()
    if task.rpn is None:
        message = f"The detector of {checkpoint!r} has no network of proposals; train one with proposals='rpn'."
        raise ArgumentError(message)
    for row, image in images:
        dataset = image.dataset
        # Training images as evaluation sees them.
        augmentation, dataset.augmentation = dataset.augmentation, None
        batch = dataset[BatchRequest([image.position], 0)]
        dataset.augmentation = augmentation
        with torch.inference_mode():
            boxes = task(batch.images, batch.sizes).proposals[0].double()
        boxes = boxes * batch.scale.double().flip(1).repeat(1, 2)
        found = boxes.numpy()
        yield row, found[(found[:, 2:] > found[:, :2]).all(1)]


def _pairs(
    file: ProposalFile,
    images: Sequence[_Image],
    dataset: Any,  # noqa: ANN401 (of files or in memory)
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield proposals and objects that count of the images of a data set."""
    for row, image in enumerate(images):
        if image.dataset is dataset:
            yield file.boxes(row), _objects(image)


def _objects(image: _Image) -> np.ndarray:
    if isinstance(image.dataset, FileDataset):
        boxes, _, ignore = image.dataset.index.objects(image.position)
        return np.asarray(boxes[~ignore])
    return np.asarray(image.dataset.boxes[image.position].double())
