"""``visiontasks propose``: proposals for every image of a data set, written to a file that training reads."""

import hashlib
import logging
import multiprocessing
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from tqdm import tqdm

from visiontasks.cli.checkpoint_task import load_named
from visiontasks.cli.data import parse_data
from visiontasks.cli.model_flags import take_model_flags
from visiontasks.cli.parser import Parser
from visiontasks.data.datasets.file_dataset import FileDataset
from visiontasks.data.datasets.memory_samples import MemorySamples
from visiontasks.data.images.arrays import Pixels
from visiontasks.data.images.reading import Reading
from visiontasks.data.index.proposal_files import ProposalFile, image_names
from visiontasks.data.vision_data import VisionData
from visiontasks.detection.selective_search import STRATEGIES, selective_search
from visiontasks.errors import ArgumentError, UnreadableFileError
from visiontasks.metrics.proposal_recall import proposal_recall
from visiontasks.prediction import create_predictor
from visiontasks.prediction.image_predictor import ImagePredictor
from visiontasks.runs import resolve_checkpoint
from visiontasks.serialization import open_source
from visiontasks.tasks.detection import DetectionTask
from visiontasks.tasks.task import Task

_logger = logging.getLogger(__name__)

Proposed = tuple[int, Float64[np.ndarray, "boxes 4"]]
"""Row of an image, and its proposals in its pixels."""

_SPLITS = {"train": "fit", "val": "fit", "test": "test"}


class _Image(NamedTuple):
    name: str
    dataset: Any
    position: int


class _Job(NamedTuple):
    """An image and the search options for it, to be sent to another process."""

    row: int
    source: Path | Pixels
    mode: str
    least: int
    skips: bool
    """Whether an unreadable file gets no proposals instead of raising an error."""
    reading: Reading = Reading()


def main(command: str, arguments: Sequence[str]) -> int:
    """Propose boxes for the images of a data set, and print how many objects they cover.

    Args:
        command: ``"propose"``.
        arguments: The command line after it.

    Returns:
        The exit code, 0.

    Raises:
        ArgumentError: If the data set has no boxes, or an option is wrong.
    """
    flags, arguments = take_model_flags(arguments)
    data, options = parse_data(command, "Propose boxes for the images of a data set.", arguments, _add_options)
    images, rows = _list_images(data, options.splits)
    method = {"name": "selective-search", "mode": options.mode, "least": options.least}
    predictor = None
    if options.checkpoint:
        with open_source(resolve_checkpoint(options.checkpoint)) as content:
            # Another checkpoint may later have the same name.
            digest = hashlib.sha256(content.read()).hexdigest()[:16]
            task = load_named(content, DetectionTask, options.task, flags, options.config)
            _check_proposes(task, options.checkpoint)
        predictor = create_predictor(task, image_size=options.image_size)
        view = predictor.view.describe()
        method = {"name": "rpn", "checkpoint": options.checkpoint, "sha256": digest, "view": view}
    elif options.image_size is not None:
        message = "--image_size is for a network: give its --checkpoint. Selective search takes images as they are."
        raise ArgumentError(message)
    file = ProposalFile.create(options.output, [image.name for image in images], options.count, method)
    missing = file.missing()
    print(f"{len(images)} images, {len(missing)} to do, into {file.path}.")
    jobs = [_job(row, images[row], options) for row in missing]
    proposed = _by_search(jobs, options.workers) if predictor is None else _by_network(predictor, jobs)
    for row, boxes in tqdm(proposed, total=len(missing), unit="image", disable=not sys.stderr.isatty()):
        file.write(row, boxes)
    for split in options.splits:
        figures = proposal_recall((file.boxes(row), _objects(images[row])) for row in rows[split])
        print(f"{split}: {', '.join(f'{name} {value:.3f}' for name, value in figures.items())}")
    return 0


def _add_options(parser: Parser) -> None:
    parser.add_argument("--output", type=str, required=True, help="file to write: NAME.npy, and NAME.json beside it")
    parser.add_argument("--count", type=int, default=2000, help="maximum number of proposals of an image")
    parser.add_argument("--mode", type=Literal[*STRATEGIES], default="fast", help="strategies of selective search")
    parser.add_argument("--least", type=int, default=10, help="minimum side of a proposal in pixels")
    parser.add_argument(
        "--checkpoint",
        type=str | None,
        default=None,
        help="a checkpoint of DetectionTask, or the folder of a run, whose proposals to take",
    )
    parser.add_argument(
        "--task", type=str | None, default=None, help="import path of its class, if that is your own: my_module.MyTask"
    )
    parser.add_argument(
        "--image_size",
        type=tuple[int, int] | None,
        default=None,
        help="[H, W] to resize images to for the network (default: as in the validation of its training)",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes of selective search")
    parser.add_argument("--splits", type=list[str], default=["train", "val", "test"], help="splits to do")


def _list_images(data: VisionData, splits: Sequence[str]) -> tuple[list[_Image], dict[str, list[int]]]:
    """List the images, each once, and the rows of each split."""
    if data.yields != "detection":
        message = f"{type(data).__name__} yields {data.yields}; expected detection (--data.task detection)."
        raise ArgumentError(message)
    unknown = [split for split in splits if split not in _SPLITS]
    if unknown:
        message = f"splits is {list(splits)}; expected some of {', '.join(_SPLITS)}."
        raise ArgumentError(message)
    for stage in dict.fromkeys(_SPLITS[split] for split in splits):
        data.setup(stage)
    positions: dict[PurePath, tuple[Any, int]] = {}
    files: dict[str, list[PurePath]] = {}
    for split in splits:
        dataset: Any = data.plain_train_set() if split == "train" else getattr(data, f"{split}_set")
        in_memory = isinstance(dataset, MemorySamples)
        files[split] = list(
            map(PurePath, dataset.names()) if in_memory else map(dataset.index.file, range(len(dataset)))
        )
        for position, file in enumerate(files[split]):
            positions.setdefault(file, (dataset, position))
    row_of = {file: row for row, file in enumerate(positions)}
    names = image_names(list(positions))
    images = [_Image(name, *where) for name, where in zip(names, positions.values(), strict=True)]
    return images, {split: [row_of[file] for file in files[split]] for split in splits}


def _job(row: int, image: _Image, options: Any) -> _Job:  # noqa: ANN401 (a namespace)
    dataset, mode, least = image.dataset, options.mode, options.least
    if isinstance(dataset, MemorySamples):
        return _Job(row, dataset.pixels[image.position].numpy(), mode, least, skips=False)
    file = dataset.index.file(image.position)
    return _Job(row, file, mode, least, skips=dataset.on_error != "raise", reading=dataset.reading)


def _by_search(jobs: Sequence[_Job], workers: int) -> Iterator[Proposed]:
    if workers < 2:
        yield from map(_search, jobs)
        return
    # The terminal interrupts these processes, too; only this one is to say so.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        opened = multiprocessing.get_context("spawn").Pool(workers)
    finally:
        signal.signal(signal.SIGINT, handler)
    with opened as pool:
        yield from pool.imap_unordered(_search, jobs)


def _search(job: _Job) -> Proposed:
    pixels = _read(job, 3)
    boxes = np.empty((0, 4)) if pixels is None else selective_search(pixels, job.mode, job.least, seed=job.row)
    return job.row, boxes


def _read(job: _Job, channels: int) -> Pixels | None:
    """Read an image; None for an unreadable file that the data set leaves out."""
    if not isinstance(job.source, Path):
        return job.source
    try:
        return job.reading._replace(channels=channels).pixels(job.source)
    except UnreadableFileError as error:
        if not job.skips:
            raise
        _logger.warning("%s. It has no proposals.", error)
        return None


def _check_proposes(task: Task, checkpoint: str) -> None:
    if not isinstance(task, DetectionTask) or task.rpn is None:
        message = (
            f"{checkpoint!r} holds a {type(task).__name__} without a network of proposals; expected a DetectionTask "
            "with proposals='rpn'."
        )
        raise ArgumentError(message)


def _by_network(predictor: ImagePredictor, jobs: Sequence[_Job]) -> Iterator[Proposed]:
    for job in jobs:
        pixels = _read(job, predictor.task.in_channels)
        if pixels is None:
            yield job.row, np.empty((0, 4))
            continue
        sample = predictor.prepare(pixels, job.row)
        with torch.inference_mode():
            boxes = predictor.outputs(predictor.batch([sample])).proposals[0].double().cpu().numpy()
        window = sample.window
        boxes = boxes * ([window.width / window.size[1], window.height / window.size[0]] * 2)
        yield job.row, boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]


def _objects(image: _Image) -> np.ndarray:
    if isinstance(image.dataset, FileDataset):
        boxes, _, ignore = image.dataset.index.objects(image.position)
        return np.asarray(boxes[~ignore])
    boxes = image.dataset.samples[image.position].boxes.double().numpy()
    return np.asarray(boxes)
